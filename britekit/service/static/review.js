import { FFT, ROWS, Voice, clock, element, hertz, spectrogram, voiceControls, wavSamples } from "./player.js";

// One detection after the other: sound and spectrogram of the next ones are ready before they are asked for.
const $ = id => document.getElementById(id);
const token = new URLSearchParams(location.search).get("token") || "";
const AHEAD = 4, KEPT = 12;
const state = { item: null, session: null, others: [], bounds: null, drag: null, busy: false };
const ready = new Map(); // number -> promise of { item, sound }
const voice = new Voice();
const controls = voiceControls(voice, () => play(), "s");
let frame = 0;

async function ask(path, body) {
  const options = { headers: { "X-Review-Token": token } };
  if (body !== undefined) { options.method = "POST"; options.body = JSON.stringify(body); }
  const answer = await fetch(path, options);
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error || "The server answered with status " + answer.status);
  return answer;
}
function say(text, bad) { $("message").textContent = text; $("message").classList.toggle("bad", Boolean(bad)); }

// --- sound and spectrogram ---

function prepare(number) {
  if (!ready.has(number)) {
    const work = (async () => {
      const [item, answer] = await Promise.all([ask("api/items/" + number).then(a => a.json()),
        ask("api/items/" + number + "/sound").catch(error => error)]);
      if (answer instanceof Error) return { item, error: answer.message };
      const first = Number(answer.headers.get("X-First-Second")), { samples, rate } = wavSamples(await answer.arrayBuffer());
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
  const { numbers } = await ask("api/next?after=" + number + "&count=" + AHEAD).then(a => a.json());
  await Promise.all(numbers.filter(next => next !== number).map(next => prepare(next).catch(() => {})));
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
      const gray = Math.round(255 * level);
      pixels[y * width + x] = 0xff000000 | gray << 16 | gray << 8 | gray;
    }
  }
  pen.putImageData(image, 0, 0);
  pen.font = 11 * scale + "px system-ui, sans-serif"; pen.fillStyle = "#fff"; pen.shadowColor = "#000"; pen.shadowBlur = 4;
  const stepHz = [100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000].find(s => (high - low) / s <= 7) || 100000;
  for (let f = Math.ceil(low / stepHz) * stepHz; f < high; f += stepHz) {
    const y = (1 - (f - low) / (high - low)) * height;
    if (y > height - 14 * scale) continue; // the times are there
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
  if (voice.playing) { pen.strokeStyle = "#fff"; pen.lineWidth = scale; const now = x(cursor()); pen.beginPath(); pen.moveTo(now, 0); pen.lineTo(now, height); pen.stroke(); }
}

// --- playing ---

const cursor = () => state.item.sound.first + voice.time;

function play(from) {
  voice.stop();
  const { sound, item } = state.item || {};
  if (!sound) return;
  const { low, high } = band();
  voice.use(sound);
  voice.band = [low, high];
  voice.play((from ?? Math.max(sound.first, item.start - 1)) - sound.first);
  if (!frame) frame = requestAnimationFrame(follow);
}
function follow() { frame = 0; if (!state.item) return; drawOverlay(); if (voice.playing) frame = requestAnimationFrame(follow); }

// --- moving on ---

async function show(number) {
  const begun = performance.now();
  voice.stop();
  state.item = await prepare(number);
  const { item, sound, error } = state.item, given = item.verdict;
  state.others = given ? given.others.slice() : [];
  state.bounds = given && (given.start !== item.start || given.end !== item.end) ? [given.start, given.end] : null;
  $("name").textContent = item.name;
  $("facts").textContent = [item.score.toFixed(3), item.recording + (item.channel ? " channel " + item.channel : ""), clock(item.start) + " to " + clock(item.end), item.time, item.site].filter(Boolean).join(" · ");
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
  if (state.session) state.session.progress = progress; // the queue learn grows
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
    else { await show(item.number); voice.stop(); say("All done."); }
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
$("voice").replaceWith(...controls.elements);
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
  if (event.target.matches("input[type=text], input[type=search], input[type=number], select")) { if (event.key === "Enter") event.target.blur(); return; }
  const keys = {
    y: () => judge("yes"), n: () => judge("no"), u: () => judge("unsure"), z: undo, " ": () => voice.playing ? voice.stop() : play(),
    ArrowLeft: () => step(-1), ArrowRight: () => step(1), o: () => $("other").focus(), t: () => $("note").focus(),
    s: () => controls.slower(),
    "+": () => { $("zoom").value = Number($("zoom").value) + 1; drawPicture(); }, "-": () => { $("zoom").value = Number($("zoom").value) - 1; drawPicture(); },
  };
  const work = keys[event.key] || keys[event.key.toLowerCase()];
  if (work) { event.preventDefault(); work(); }
});
new ResizeObserver(() => { if (state.item) drawPicture(); }).observe($("view"));

voice.open();
(async () => {
  state.session = await ask("api/session").then(a => a.json());
  for (const name of state.session.classes) { const option = document.createElement("option"); option.value = name; $("classes").append(option); }
  drawProgress(state.session.progress);
  $("end").hidden = state.session.first != null;
  await show(state.session.first ?? 0);
})().catch(error => say(error.message, true));
