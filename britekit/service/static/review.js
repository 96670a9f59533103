"use strict";
// One detection after the other: sound and spectrogram of the next ones are ready before they are asked for.
const $ = id => document.getElementById(id);
const token = new URLSearchParams(location.search).get("token") || "";
const FFT = 1024, ROWS = FFT / 2, AHEAD = 3, KEPT = 10;
const state = { item: null, session: null, others: [], bounds: null, drag: null, busy: false };
const ready = new Map(); // number -> promise of { item, sound }
let context = null, source = null, startedAt = 0, playFrom = 0, frame = 0;

async function ask(path, body) {
  const options = { headers: { "X-Review-Token": token } };
  if (body !== undefined) { options.method = "POST"; options.body = JSON.stringify(body); }
  const answer = await fetch(path, options);
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error || "The server answered with status " + answer.status);
  return answer;
}
function say(text, bad) { $("message").textContent = text; $("message").classList.toggle("bad", Boolean(bad)); }
const clock = s => Math.floor(s / 60) + ":" + (s % 60).toFixed(2).padStart(5, "0");
const hertz = f => f >= 1000 ? (f / 1000).toFixed(1) + " kHz" : Math.round(f) + " Hz";

// --- sound and spectrogram ---

function samplesOf(buffer) {
  const view = new DataView(buffer);
  let at = 12, rate = 0;
  while (at + 8 <= view.byteLength) {
    const name = String.fromCharCode(view.getUint8(at), view.getUint8(at + 1), view.getUint8(at + 2), view.getUint8(at + 3));
    const size = view.getUint32(at + 4, true);
    if (name === "fmt ") rate = view.getUint32(at + 12, true);
    if (name === "data") {
      const count = Math.min(size, view.byteLength - at - 8) >> 1, samples = new Float32Array(count);
      for (let i = 0; i < count; i++) samples[i] = view.getInt16(at + 8 + 2 * i, true) / 32768;
      return { samples, rate };
    }
    at += 8 + size + size % 2;
  }
  throw new Error("the sound could not be read");
}

// Radix 2, in place; n is a power of two.
function fft(re, im) {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) { [re[i], re[j]] = [re[j], re[i]]; [im[i], im[j]] = [im[j], im[i]]; }
  }
  for (let size = 2; size <= n; size <<= 1) {
    const half = size >> 1, angle = -2 * Math.PI / size, wr = Math.cos(angle), wi = Math.sin(angle);
    for (let i = 0; i < n; i += size) {
      let cr = 1, ci = 0;
      for (let k = i; k < i + half; k++) {
        const xr = re[k + half] * cr - im[k + half] * ci, xi = re[k + half] * ci + im[k + half] * cr;
        re[k + half] = re[k] - xr; im[k + half] = im[k] - xi; re[k] += xr; im[k] += xi;
        [cr, ci] = [cr * wr - ci * wi, cr * wi + ci * wr];
      }
    }
  }
}

// Decibels above each band's median, so that steady noise is dark.
function spectrogram(samples) {
  const hop = Math.max(64, Math.floor(samples.length / 1600)), columns = Math.max(1, Math.floor((samples.length - FFT) / hop) + 1);
  const window = Float32Array.from({ length: FFT }, (_, i) => 0.5 - 0.5 * Math.cos(2 * Math.PI * i / FFT));
  const decibels = new Float32Array(columns * ROWS), re = new Float64Array(FFT), im = new Float64Array(FFT);
  for (let c = 0; c < columns; c++) {
    for (let i = 0; i < FFT; i++) { re[i] = (samples[c * hop + i] || 0) * window[i]; im[i] = 0; }
    fft(re, im);
    for (let r = 0; r < ROWS; r++) decibels[c * ROWS + r] = 10 * Math.log10(re[r] * re[r] + im[r] * im[r] + 1e-9);
  }
  let top = -Infinity;
  for (const value of decibels) if (value > top) top = value;
  const band = new Float32Array(columns);
  for (let r = 0; r < ROWS; r++) {
    for (let c = 0; c < columns; c++) band[c] = decibels[c * ROWS + r];
    const floor = Math.max(band.sort()[columns >> 1], top - 65); // nothing is heard below; coding noise stays dark
    for (let c = 0; c < columns; c++) decibels[c * ROWS + r] -= floor;
  }
  return { decibels, columns, hop };
}

function prepare(number) {
  if (!ready.has(number)) {
    const work = (async () => {
      const [item, answer] = await Promise.all([ask("api/items/" + number).then(a => a.json()),
        ask("api/items/" + number + "/sound").catch(error => error)]);
      if (answer instanceof Error) return { item, error: answer.message };
      const first = Number(answer.headers.get("X-First-Second")), { samples, rate } = samplesOf(await answer.arrayBuffer());
      let peak = 1e-4;
      for (const value of samples) peak = Math.max(peak, Math.abs(value));
      return { item, sound: { samples, rate, first, seconds: samples.length / rate, gain: Math.min(30, 0.9 / peak), ...spectrogram(samples) } };
    })();
    work.catch(() => ready.delete(number));
    ready.set(number, work);
    for (const old of ready.keys()) if (ready.size > KEPT && old !== number) ready.delete(old);
  }
  return ready.get(number);
}

async function prepareNext(number) {
  let after = number;
  for (let i = 0; i < AHEAD; i++) {
    const next = (await ask("api/next?after=" + after).then(a => a.json())).number;
    if (next == null || next === number) return;
    await prepare(next).catch(() => {});
    after = next;
  }
}

// --- drawing ---

function span() {
  const { sound, item } = state.item, zoom = Number($("zoom").value), seconds = sound.seconds / zoom;
  const middle = (item.start + item.end) / 2 - sound.first;
  const from = Math.min(Math.max(0, middle - seconds / 2), sound.seconds - seconds);
  return { from, seconds };
}
function band() {
  const nyquist = state.item.sound.rate / 2, low = Number($("low").value) * nyquist, high = Number($("high").value) * nyquist;
  return { low, high: Math.max(high, low + nyquist / 50), nyquist };
}

function drawPicture() {
  const canvas = $("picture"), scale = window.devicePixelRatio || 1;
  const width = canvas.width = Math.round(canvas.clientWidth * scale), height = canvas.height = Math.round(canvas.clientHeight * scale);
  const pen = canvas.getContext("2d"), { sound } = state.item;
  if (!sound) { pen.fillStyle = "#222"; pen.fillRect(0, 0, width, height); drawOverlay(); return; }
  const { from, seconds } = span(), { low, high, nyquist } = band(), contrast = Number($("contrast").value);
  const image = pen.createImageData(width, height), pixels = new Uint32Array(image.data.buffer);
  for (let x = 0; x < width; x++) {
    const at = (from + x / width * seconds) * sound.rate - FFT / 2;
    const c = Math.min(sound.columns - 1, Math.max(0, Math.round(at / sound.hop)));
    for (let y = 0; y < height; y++) {
      const f = low + (1 - (y + 0.5) / height) * (high - low), r = Math.min(ROWS - 1, Math.floor(f / nyquist * ROWS));
      const level = Math.max(0, Math.min(1, (sound.decibels[c * ROWS + r] - 4) / (85 - contrast)));
      const grey = Math.round(255 * level);
      pixels[y * width + x] = 0xff000000 | grey << 16 | grey << 8 | grey;
    }
  }
  pen.putImageData(image, 0, 0);
  pen.font = 11 * scale + "px system-ui, sans-serif"; pen.fillStyle = "#fff"; pen.shadowColor = "#000"; pen.shadowBlur = 4;
  const stepHz = [100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000].find(s => (high - low) / s <= 7) || 100000;
  for (let f = Math.ceil(low / stepHz) * stepHz; f < high; f += stepHz) {
    const y = (1 - (f - low) / (high - low)) * height;
    pen.fillRect(0, y, 6 * scale, scale); pen.fillText(hertz(f), 8 * scale, Math.max(11 * scale, y + 4 * scale));
  }
  const stepS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20].find(s => seconds / s <= 12) || 30;
  for (let t = Math.ceil((sound.first + from) / stepS) * stepS; t < sound.first + from + seconds; t += stepS) {
    const x = (t - sound.first - from) / seconds * width;
    pen.fillRect(x, height - 6 * scale, scale, 6 * scale); pen.fillText(clock(t), x + 3 * scale, height - 3 * scale);
  }
  drawOverlay();
}

function drawOverlay() {
  const canvas = $("overlay"), scale = window.devicePixelRatio || 1;
  const width = canvas.width = Math.round(canvas.clientWidth * scale), height = canvas.height = Math.round(canvas.clientHeight * scale);
  const pen = canvas.getContext("2d"), { sound, item } = state.item;
  if (!sound) return;
  const { from, seconds } = span(), x = t => (t - sound.first - from) / seconds * width;
  const [a, b] = state.bounds || [item.start, item.end];
  pen.fillStyle = "rgba(0,0,0,.35)"; pen.fillRect(0, 0, x(a), height); pen.fillRect(x(b), 0, width - x(b), height);
  pen.strokeStyle = state.bounds ? "#ffc56b" : "#7df9c0"; pen.lineWidth = 2 * scale;
  for (const edge of [x(a), x(b)]) { pen.beginPath(); pen.moveTo(edge, 0); pen.lineTo(edge, height); pen.stroke(); }
  if (source) { pen.strokeStyle = "#fff"; pen.lineWidth = scale; const now = x(cursor()); pen.beginPath(); pen.moveTo(now, 0); pen.lineTo(now, height); pen.stroke(); }
}

// --- playing ---

const cursor = () => playFrom + (context.currentTime - startedAt) * Number($("speed").value);

function stop() { if (source) { source.onended = null; try { source.stop(); } catch (_) { /* it has ended */ } source = null; } }

function play(from) {
  stop();
  const { sound, item } = state.item;
  if (!sound) return;
  context = context || new AudioContext();
  if (context.state === "suspended") context.resume();
  if (!sound.buffer) {
    // Browsers play from 8 to 96 kHz at least; other rates are played by another speed.
    const rate = Math.min(96000, Math.max(8000, sound.rate));
    sound.buffer = context.createBuffer(1, sound.samples.length, rate);
    sound.buffer.copyToChannel(sound.samples, 0);
    sound.factor = sound.rate / rate;
  }
  source = context.createBufferSource(); source.buffer = sound.buffer;
  const speed = Number($("speed").value);
  source.playbackRate.value = speed * sound.factor;
  const gain = context.createGain(); gain.gain.value = sound.gain;
  let node = source;
  const { low, high, nyquist } = band(), most = context.sampleRate / 2 * 0.99;
  const filters = [];
  if (low > 20) filters.push(["highpass", low * speed]);
  if (high < nyquist * 0.99) filters.push(["lowpass", high * speed]);
  for (const [type, frequency] of filters) for (let i = 0; i < 2; i++) {
    const filter = context.createBiquadFilter(); filter.type = type; filter.frequency.value = Math.min(most, frequency);
    node.connect(filter); node = filter;
  }
  node.connect(gain); gain.connect(context.destination);
  playFrom = from ?? Math.max(sound.first, item.start - 1);
  startedAt = context.currentTime;
  source.onended = () => { source = null; };
  source.start(0, Math.max(0, (playFrom - sound.first) / sound.factor));
  if (!frame) frame = requestAnimationFrame(follow);
}
function follow() { frame = 0; if (!state.item) return; drawOverlay(); if (source) frame = requestAnimationFrame(follow); }

// --- moving on ---

async function show(number) {
  const begun = performance.now();
  stop();
  state.item = await prepare(number);
  const { item, sound, error } = state.item, given = item.verdict;
  state.others = given ? given.others.slice() : [];
  state.bounds = given && (given.start !== item.start || given.end !== item.end) ? [given.start, given.end] : null;
  $("name").textContent = item.name;
  $("facts").textContent = [item.score.toFixed(3), item.recording, clock(item.start) + " to " + clock(item.end), item.time, item.site].filter(Boolean).join(" · ");
  $("note").value = given ? given.note : "";
  for (const word of ["yes", "no", "unsure"]) $(word).classList.toggle("given", Boolean(given) && given.verdict === word);
  if (sound) {
    $("lowout").textContent = hertz(band().low); $("highout").textContent = hertz(band().high);
    say(given ? "You said " + given.verdict + " before; another answer replaces it." : "");
  } else say(error, true);
  drawOthers(); drawPicture(); play();
  window.reviewMs = performance.now() - begun; // read by the test that measures
  window.reviewNumber = number;
  document.body.dataset.number = number;
  setTimeout(() => prepareNext(number).catch(() => {}), 0);
}

function drawProgress(progress) {
  const done = progress.done + progress.passed_over;
  $("bar").firstElementChild.style.width = 100 * done / Math.max(1, progress.items) + "%";
  $("progress").textContent = progress.done + " of " + progress.items + " judged (" + progress.yes + " yes, " + progress.no + " no, " + progress.unsure + " unsure)"
    + (progress.passed_over ? ", " + progress.passed_over + " passed over" : "") + "; " + progress.left + " left, about " + progress.minutes_left + " minutes";
  const rows = document.createDocumentFragment();
  for (const each of progress.precision) {
    const row = document.createElement("tr");
    for (const text of [each.name, "precision " + each.value.toFixed(2), each.low.toFixed(2) + " to " + each.high.toFixed(2), each.verdicts + (each.verdicts === 1 ? " verdict" : " verdicts")]) {
      const cell = document.createElement("td"); cell.textContent = text; row.append(cell);
    }
    rows.append(row);
  }
  $("precision").replaceChildren(rows);
}

function drawOthers() {
  const chips = document.createDocumentFragment();
  for (const name of state.others) {
    const chip = document.createElement("span"), remove = document.createElement("button");
    chip.className = "chip"; chip.textContent = name;
    remove.type = "button"; remove.textContent = "×"; remove.setAttribute("aria-label", "Remove " + name);
    remove.addEventListener("click", () => { state.others = state.others.filter(other => other !== name); drawOthers(); });
    chip.append(remove); chips.append(chip);
  }
  $("others").replaceChildren(chips);
}

async function move(work) {
  if (state.busy) return; // a key that comes before the next detection is shown is about nothing
  state.busy = true; document.body.dataset.busy = "";
  try { await work(); } catch (error) { say(error.message, true); } finally { state.busy = false; delete document.body.dataset.busy; }
}

function judge(verdict) {
  move(async () => {
    const { item } = state.item, [start, end] = state.bounds || [item.start, item.end];
    const answer = await ask("api/items/" + item.number + "/verdict",
      { verdict, others: state.others, start, end, note: $("note").value }).then(a => a.json());
    ready.delete(item.number);
    drawProgress(answer.progress);
    $("end").hidden = answer.next != null;
    if (answer.next != null) await show(answer.next);
    else { stop(); await show(item.number); stop(); say("All done."); }
  });
}
const step = by => move(async () => {
  const count = state.session.progress.items, number = (state.item.item.number + by + count) % count;
  await show(number);
});
const undo = () => move(async () => {
  const answer = await ask("api/undo", {}).then(a => a.json());
  ready.delete(answer.next); drawProgress(answer.progress); $("end").hidden = true;
  await show(answer.next);
});

// --- controls ---

for (const word of ["yes", "no", "unsure"]) $(word).addEventListener("click", () => judge(word));
$("back").addEventListener("click", () => step(-1)); $("skip").addEventListener("click", () => step(1));
$("undo").addEventListener("click", undo); $("replay").addEventListener("click", () => play());
for (const id of ["low", "high", "contrast", "zoom"]) $(id).addEventListener("input", () => {
  if (!state.item || !state.item.sound) return;
  $("lowout").textContent = hertz(band().low); $("highout").textContent = hertz(band().high); drawPicture();
});
for (const id of ["low", "high"]) $(id).addEventListener("change", () => play());
$("speed").addEventListener("change", () => play());
$("other").addEventListener("change", () => {
  const name = $("other").value.trim(), known = state.session.classes.find(each => each.toLowerCase() === name.toLowerCase());
  if (!name) return;
  if (!known) { say("“" + name + "” is not one of the classes.", true); return; }
  if (!state.others.includes(known)) state.others.push(known);
  $("other").value = ""; say(""); drawOthers(); $("other").blur();
});
const secondAt = event => {
  const box = $("overlay").getBoundingClientRect(), { from, seconds } = span();
  return state.item.sound.first + from + Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * seconds;
};
$("overlay").addEventListener("pointerdown", event => { if (state.item && state.item.sound) { state.drag = secondAt(event); $("overlay").setPointerCapture(event.pointerId); } });
$("overlay").addEventListener("pointermove", event => {
  if (state.drag == null) return;
  const at = secondAt(event);
  if (Math.abs(at - state.drag) > 0.02) { state.bounds = [Math.min(at, state.drag), Math.max(at, state.drag)]; drawOverlay(); }
});
$("overlay").addEventListener("pointerup", event => {
  if (state.drag == null) return;
  const at = secondAt(event);
  if (Math.abs(at - state.drag) <= 0.02) play(at);
  state.drag = null;
});
$("overlay").addEventListener("dblclick", () => { state.bounds = null; drawOverlay(); });
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || !state.item) return;
  if (event.key === "Escape") { document.activeElement.blur(); return; }
  if (event.target.matches("input[type=text], input[type=search], select")) { if (event.key === "Enter") event.target.blur(); return; }
  const keys = {
    y: () => judge("yes"), n: () => judge("no"), u: () => judge("unsure"), z: undo, " ": () => source ? stop() : play(),
    ArrowLeft: () => step(-1), ArrowRight: () => step(1), o: () => $("other").focus(), t: () => $("note").focus(),
    s: () => { $("speed").selectedIndex = ($("speed").selectedIndex + 1) % 4; play(); },
    "+": () => { $("zoom").value = Number($("zoom").value) + 1; drawPicture(); }, "-": () => { $("zoom").value = Number($("zoom").value) - 1; drawPicture(); },
  };
  const work = keys[event.key] || keys[event.key.toLowerCase()];
  if (work) { event.preventDefault(); work(); }
});
new ResizeObserver(() => { if (state.item) drawPicture(); }).observe($("view"));

(async () => {
  state.session = await ask("api/session").then(a => a.json());
  for (const name of state.session.classes) { const option = document.createElement("option"); option.value = name; $("classes").append(option); }
  drawProgress(state.session.progress);
  $("end").hidden = state.session.first != null;
  await show(state.session.first ?? 0);
})().catch(error => say(error.message, true));
