// A recording: its sound (also slowed, filtered or shifted down by a heterodyne), its spectrogram with boxes for what
// was found, and the keys that go through them. The page of the service and the page of `review` both use it.
// Nothing here knows where a recording or a box comes from: pages give addresses and plain values.

const PICTURE = 256, LANE = 19, MAX_LANES = 12, MAX_BOXES = 2000;
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200];

export function clock(s) {
  const whole = Math.floor(s + 0.005), h = Math.floor(whole / 3600), m = Math.floor(whole / 60) % 60;
  const rest = Math.max(0, s - whole + whole % 60).toFixed(2).padStart(5, "0");
  return h ? h + ":" + String(m).padStart(2, "0") + ":" + rest : m + ":" + rest;
}

export const hertz = f => f >= 1000 ? (f / 1000).toFixed(1) + " kHz" : Math.round(f) + " Hz";

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// A color for the n-th class, the same for ever: eight of about equal lightness, then around the circle.
const HUES = ["#7df9c0", "#8ecbff", "#ffc56b", "#ff9fb0", "#c9b6ff", "#e4ee7b", "#7fe6ee", "#f7b2ea"];
export function color(n) {
  return n < HUES.length ? HUES[n] : "hsl(" + Math.round(n * 137.508 % 360) + " 85% 76%)";
}

// --- sound as samples ---

const HETERODYNE = 5000, OUTPUT = 48000, MOST_BYTES = 3e8;

// Samples of a WAV file (16, 24 or 32 bit, or floating point), mean of its channels; null for anything else.
export function wavSamples(buffer) {
  const view = new DataView(buffer), name = at => String.fromCharCode(...new Uint8Array(buffer, at, 4));
  if (view.byteLength < 44 || name(0) !== "RIFF" || name(8) !== "WAVE") return null;
  let rate = 0, channels = 1, bits = 16, kind = 1;
  for (let at = 12; at + 8 <= view.byteLength; ) {
    const size = view.getUint32(at + 4, true), chunk = name(at);
    if (chunk === "fmt ") {
      kind = view.getUint16(at + 8, true); channels = view.getUint16(at + 10, true);
      rate = view.getUint32(at + 12, true); bits = view.getUint16(at + 22, true);
      if (kind === 0xfffe) kind = view.getUint16(at + 32, true);
    }
    if (chunk === "data") {
      const bytes = bits >> 3, start = at + 8, count = Math.floor(Math.min(size, view.byteLength - start) / (bytes * channels));
      const read = kind === 3 && bits === 32 ? at => view.getFloat32(at, true) : kind !== 1 ? null
        : bits === 16 ? at => view.getInt16(at, true) / 32768
        : bits === 24 ? at => (view.getInt8(at + 2) * 65536 + view.getUint16(at, true)) / 8388608
        : bits === 32 ? at => view.getInt32(at, true) / 2147483648 : null;
      if (!read) return null;
      const samples = new Float32Array(count);
      for (let i = 0; i < count; i++) {
        let sum = 0;
        for (let c = 0; c < channels; c++) sum += read(start + (i * channels + c) * bytes);
        samples[i] = sum / channels;
      }
      return { samples, rate };
    }
    at += 8 + size + size % 2;
  }
  return null;
}

// Samples of any file that the browser can decode; what lies above 48 kHz is kept only of WAV files.
export async function samplesOf(file) {
  if (file.size > MOST_BYTES) throw new Error("This recording is too large to be slowed here; cut a clip of it.");
  const buffer = await file.arrayBuffer(), wav = wavSamples(buffer);
  if (wav) return wav;
  const decoded = await new OfflineAudioContext(1, 1, 96000).decodeAudioData(buffer);
  const samples = new Float32Array(decoded.length);
  for (let c = 0; c < decoded.numberOfChannels; c++) {
    const channel = decoded.getChannelData(c);
    for (let i = 0; i < samples.length; i++) samples[i] += channel[i] / decoded.numberOfChannels;
  }
  return { samples, rate: decoded.sampleRate };
}

// A heterodyne detector: what lies up to 5 kHz on both sides of a frequency becomes audible as the distance from it.
export function heterodyne(samples, rate, frequency) {
  const step = Math.max(1, Math.floor(rate / OUTPUT)), cutoff = Math.min(HETERODYNE, rate / step / 2.5) / rate;
  const half = Math.ceil(1.6 / cutoff), taps = new Float32Array(2 * half + 1), mixed = new Float32Array(samples.length);
  for (let k = -half; k <= half; k++) {
    const sinc = k ? Math.sin(2 * Math.PI * cutoff * k) / (Math.PI * k) : 2 * cutoff;
    taps[k + half] = 2 * sinc * (0.5 + 0.5 * Math.cos(Math.PI * k / (half + 1)));
  }
  for (let i = 0; i < samples.length; i++) mixed[i] = samples[i] * Math.cos(2 * Math.PI * ((frequency / rate * i) % 1));
  const out = new Float32Array(Math.floor(samples.length / step));
  for (let n = 0; n < out.length; n++) {
    const at = n * step - half, first = Math.max(0, -at), last = Math.min(taps.length, samples.length - at);
    let sum = 0;
    for (let k = first; k < last; k++) sum += taps[k] * mixed[at + k];
    out[n] = sum;
  }
  return { samples: out, rate: rate / step };
}

// Plays samples: slowed, through a band-pass, or shifted down by a heterodyne. Seconds are those of the samples.
export class Voice {
  constructor({ onEnd = () => {} } = {}) {
    this.onEnd = onEnd;
    this.context = null;
    this.source = null;
    this.sound = null;
    this.speed = 1;
    this.band = null;  // [lowest, highest] in hertz
    this.tuned = null;  // frequency of the heterodyne, null: off
  }

  // Making it takes a second in some browsers, so it is there before it is needed.
  open() { this.context ??= new AudioContext(); return this.context; }

  use(sound) { if (sound !== this.sound) { this.stop(); this.sound = sound; } }

  get playing() { return Boolean(this.source); }
  get time() { return this.from + (this.context.currentTime - this.startedAt) * this.speed; }

  stop() {
    if (!this.source) return;
    this.source.onended = null;
    try { this.source.stop(); } catch (_) { /* it has ended */ }
    this.source = null;
  }

  play(from = 0) {
    this.stop();
    if (!this.sound) return;
    const context = this.open(), { buffer, factor } = this.buffer();
    if (context.state === "suspended") context.resume();
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.playbackRate.value = this.speed * factor;
    const gain = context.createGain(), most = context.sampleRate / 2 * 0.99;
    gain.gain.value = this.sound.gain ?? 1;
    let node = source;
    for (const [type, frequency] of this.tuned == null ? this.filters() : []) for (let i = 0; i < 2; i++) {
      const filter = context.createBiquadFilter();
      filter.type = type; filter.frequency.value = Math.min(most, frequency * this.speed);
      node.connect(filter); node = filter;
    }
    node.connect(gain); gain.connect(context.destination);
    this.from = Math.max(0, from);
    this.startedAt = context.currentTime;
    source.onended = () => { this.source = null; this.onEnd(); };
    source.start(0, this.from / factor);
    this.source = source;
  }

  filters() {
    if (!this.band) return [];
    const [low, high] = this.band, nyquist = this.sound.rate / 2;
    return [...(low > 20 ? [["highpass", low]] : []), ...(high < nyquist * 0.99 ? [["lowpass", high]] : [])];
  }

  buffer() {
    const key = this.tuned ?? "plain";
    if (this.sound.playable?.key !== key) {
      const { samples, rate } = this.tuned == null ? this.sound : heterodyne(this.sound.samples, this.sound.rate, this.tuned);
      // Browsers play from 8 to 96 kHz at least; other rates are played by another speed.
      const played = Math.min(96000, Math.max(8000, Math.round(rate))), buffer = this.open().createBuffer(1, Math.max(1, samples.length), played);
      buffer.copyToChannel(samples, 0);
      this.sound.playable = { key, buffer, factor: rate / played };
    }
    return this.sound.playable;
  }
}

// Controls of a voice: speed and heterodyne. onChange: something was changed, so what plays begins again.
export function voiceControls(voice, onChange, key = "") {
  const speed = element("select", { className: "speed", ariaLabel: "Speed" });
  for (const [value, text] of [[1, "1"], [0.5, "1/2"], [0.2, "1/5"], [0.1, "1/10"], [0.05, "1/20"]]) speed.append(element("option", { value, textContent: text }));
  const tuned = element("input", { type: "checkbox", className: "heterodyne" });
  const at = element("input", { type: "number", className: "tune", min: 5, max: 190, step: 1, value: 45, ariaLabel: "Frequency of the heterodyne in kHz" });
  const change = () => {
    voice.speed = Number(speed.value);
    voice.tuned = tuned.checked ? Math.max(1, Number(at.value) || 45) * 1000 : null;
    at.disabled = !tuned.checked;
    onChange();
  };
  for (const control of [speed, tuned, at]) control.addEventListener("change", change);
  at.disabled = true;
  const slower = () => { speed.selectedIndex = (speed.selectedIndex + 1) % speed.options.length; change(); };
  const use = value => { speed.value = value; voice.speed = value; };
  return { speed, slower, use, elements: [element("label", {}, "Speed ", ...(key ? [element("kbd", { textContent: key }), " "] : []), speed), element("label", {}, tuned, " Heterodyne at ", at, " kHz")] };
}

// --- spectrogram of samples ---

export const FFT = 1024, ROWS = FFT / 2;
const COS = Float64Array.from({ length: FFT / 2 }, (_, i) => Math.cos(2 * Math.PI * i / FFT));
const SIN = Float64Array.from({ length: FFT / 2 }, (_, i) => -Math.sin(2 * Math.PI * i / FFT));
const HANN = Float64Array.from({ length: FFT }, (_, i) => 0.5 - 0.5 * Math.cos(2 * Math.PI * i / FFT));
const REVERSED = Uint16Array.from({ length: FFT }, (_, i) => { let r = 0; for (let bit = 1; bit < FFT; bit <<= 1) r = r << 1 | (i & bit ? 1 : 0); return r; });

// Radix 2, in place, FFT values.
export function fft(re, im) {
  for (let i = 0; i < FFT; i++) {
    const j = REVERSED[i];
    if (i < j) { const a = re[i], b = im[i]; re[i] = re[j]; im[i] = im[j]; re[j] = a; im[j] = b; }
  }
  for (let half = 1; half < FFT; half <<= 1) {
    const stride = FFT / 2 / half;
    for (let i = 0; i < FFT; i += 2 * half) {
      for (let k = 0, turn = 0; k < half; k++, turn += stride) {
        const a = i + k, b = a + half, cr = COS[turn], ci = SIN[turn];
        const xr = re[b] * cr - im[b] * ci, xi = re[b] * ci + im[b] * cr;
        re[b] = re[a] - xr; im[b] = im[a] - xi; re[a] += xr; im[a] += xi;
      }
    }
  }
}

// Decibels above each band's median, so that steady noise is dark; two columns by one transform, as real and imaginary part.
export function spectrogram(samples) {
  const hop = Math.max(64, Math.floor(samples.length / 1200)), columns = Math.max(1, Math.floor((samples.length - FFT) / hop) + 1);
  const decibels = new Float32Array(columns * ROWS), re = new Float64Array(FFT), im = new Float64Array(FFT);
  let top = -Infinity;
  for (let c = 0; c < columns; c += 2) {
    for (let i = 0; i < FFT; i++) {
      re[i] = (samples[c * hop + i] || 0) * HANN[i];
      im[i] = c + 1 < columns ? (samples[(c + 1) * hop + i] || 0) * HANN[i] : 0;
    }
    fft(re, im);
    for (let r = 0; r < ROWS; r++) {
      const m = (FFT - r) % FFT, ar = re[r] + re[m], ai = im[r] - im[m], br = im[r] + im[m], bi = re[m] - re[r];
      const first = decibels[c * ROWS + r] = 10 * Math.log10((ar * ar + ai * ai) / 4 + 1e-9);
      if (first > top) top = first;
      if (c + 1 < columns) {
        const second = decibels[(c + 1) * ROWS + r] = 10 * Math.log10((br * br + bi * bi) / 4 + 1e-9);
        if (second > top) top = second;
      }
    }
  }
  const step = Math.max(1, Math.floor(columns / 200)), some = new Float32Array(Math.ceil(columns / step));
  for (let r = 0; r < ROWS; r++) {
    for (let k = 0, c = 0; c < columns; k++, c += step) some[k] = decibels[c * ROWS + r];
    const floor = Math.max(some.sort()[some.length >> 1], top - 65); // nothing is heard below; coding noise stays dark
    for (let c = 0; c < columns; c++) decibels[c * ROWS + r] -= floor;
  }
  return { decibels, columns, hop };
}

// --- a recording with boxes ---

export class Player {
  // root: an empty element. marks: [{at, label}], at from 0 (bottom) to 1. onStep(box): a box is now the current one.
  constructor(root, { marks = [], onStep = () => {} } = {}) {
    this.onStep = onStep;
    this.boxes = [];
    this.shown = 0;
    this.current = null;
    this.end = null;     // where playing stops
    this.wanted = null;  // where to go once the browser is where it was sent before
    this.frame = 0;
    this.stretch = 1;
    this.audio = element("audio", { controls: true, preload: "metadata" });
    this.mute = element("p", { className: "mute", hidden: true, textContent: "This browser cannot play this format; the analysis is not affected." });
    this.picture = element("img", { className: "picture", alt: "Spectrogram of the recording" });
    this.layer = element("div", { className: "boxes" });
    this.head = element("div", { className: "head" });
    this.stage = element("div", { className: "stage" }, this.picture, this.layer, this.head);
    this.ticks = element("div", { className: "ticks", ariaHidden: "true" });
    this.scroller = element("div", { className: "scroller", tabIndex: 0, ariaLabel: "Spectrogram with detections; arrow keys scroll" }, this.stage, this.ticks);
    this.scroller.setAttribute("role", "group");
    this.axis = element("div", { className: "axis", ariaHidden: "true" });
    for (const mark of marks) {
      const label = element("span", { textContent: mark.label });
      label.style.bottom = mark.at * PICTURE + "px";
      this.axis.append(label);
    }
    const view = element("div", { className: "view" }, this.axis, this.scroller);
    this.zoom = element("input", { type: "range", min: 0, max: 1, step: 0.01, value: 0, className: "zoom" });
    this.contrast = element("input", { type: "range", min: 0.4, max: 3, step: 0.05, value: 1, className: "contrast" });
    this.voice = new Voice({ onEnd: () => this.watch() });
    this.controls = voiceControls(this.voice, () => this.changeVoice());
    const knobs = element("div", { className: "row" }, element("label", {}, "Zoom ", this.zoom), element("label", {}, "Contrast ", this.contrast), ...this.controls.elements);
    root.replaceChildren(this.audio, this.mute, view, knobs);

    for (const name of ["play", "seeked", "pause"]) this.audio.addEventListener(name, () => this.watch());
    this.audio.addEventListener("seeked", () => { if (this.wanted != null) { this.audio.currentTime = this.wanted; this.wanted = null; } });
    this.audio.addEventListener("emptied", () => { this.wanted = null; });
    this.audio.addEventListener("error", () => { this.mute.hidden = !this.audio.getAttribute("src"); });
    this.zoom.addEventListener("input", () => { this.draw(); this.follow(); });
    this.contrast.addEventListener("input", () => { this.picture.style.filter = "contrast(" + this.contrast.value + ") brightness(" + (0.7 + 0.3 * this.contrast.value) + ")"; });
    addEventListener("resize", () => { if (this.shown) this.draw(); });
    this.stage.addEventListener("click", event => {
      if (event.target.closest(".box") || !this.shown) return;
      this.end = null;
      this.seek((event.clientX - this.stage.getBoundingClientRect().left) / this.width() * this.shown);
    });
    // Wherever the focus is, unless it is where a key means something else.
    document.addEventListener("keydown", event => {
      if (event.ctrlKey || event.metaKey || event.altKey || !this.shown || !root.offsetParent) return;
      const on = event.target, typing = on.matches("textarea, select, input:not([type=range], [type=checkbox], [type=file])");
      const key = event.key.toLowerCase();
      if (typing) return;
      if (key === "n" || key === "p") this.step(key === "n" ? 1 : -1);
      else if (key === " " && !on.matches("button, a, audio, summary, input")) this.toggle();
      else return;
      event.preventDefault();
    });
  }

  // sound: address or null. file: the same as a Blob, for playing it slowed. picture: address or null, of an image
  // that shows the first `shown` seconds.
  // stretch: how many times slower the sound is stored than it was; seconds here are those of the sound.
  load({ sound, file = null, picture, shown, stretch = 1 }) {
    this.audio.pause();
    if (stretch !== this.stretch) this.controls.use(stretch > 1 ? 0.1 : 1);
    this.stretch = stretch;
    this.voice.use(null);
    this.file = file;
    this.mute.hidden = true;
    this.current = this.end = this.wanted = null;
    if (sound) this.audio.src = sound; else { this.audio.removeAttribute("src"); this.audio.load(); }
    this.picture.hidden = !picture;
    if (picture) this.picture.src = picture;
    this.shown = shown;
    this.zoom.value = shown > 60 ? 0.5 : 0;
    this.scroller.scrollLeft = 0;
    this.head.style.left = "0";
    this.draw();
  }

  // boxes: [{start, end, label, title, color}], by start; they get a member `element`.
  show(boxes) {
    const before = this.current;
    this.boxes = boxes;
    this.current = before && boxes.find(b => b.start === before.start && b.label === before.label) || null;
    this.draw();
  }

  width() {
    const fit = this.scroller.clientWidth || 900;
    const most = Math.max(fit, Math.min(32000, this.shown * 200));
    return fit * Math.pow(most / fit, Number(this.zoom.value));
  }

  draw() {
    if (!this.shown) return;
    const pixels = this.width(), perSecond = pixels / this.shown, ends = [];
    this.stage.style.width = this.ticks.style.width = pixels + "px";
    const boxes = document.createDocumentFragment();
    for (const b of this.boxes.slice(0, MAX_BOXES)) {
      const left = b.start * perSecond, wide = Math.max(4, (b.end - b.start) * perSecond);
      let lane = ends.findIndex(end => end <= left + 0.5);
      if (lane < 0) lane = Math.min(ends.length, MAX_LANES - 1);
      ends[lane] = left + wide;
      b.element = element("button", { type: "button", className: "box", tabIndex: -1, title: b.title }, element("span", { textContent: b.label }));
      b.element.style.setProperty("--hue", b.color);
      b.element.style.left = left + "px";
      b.element.style.width = wide + "px";
      b.element.style.top = 3 + lane * LANE + "px";
      b.element.classList.toggle("now", b === this.current);
      b.element.addEventListener("click", () => this.play(b));
      boxes.append(b.element);
    }
    this.layer.replaceChildren(boxes);
    this.stage.style.height = PICTURE + 6 + ends.length * LANE + "px";
    const ticks = document.createDocumentFragment(), step = STEPS.find(s => s * perSecond > 70) || 7200;
    for (let n = 0; n * step < this.shown && n < 2000; n++) {
      const tick = element("span", { textContent: clock(n * step).replace(/\.?0+$/, match => match.startsWith(".") ? "" : match) });
      tick.style.left = n * step * perSecond + "px";
      ticks.append(tick);
    }
    this.ticks.replaceChildren(ticks);
    this.axis.style.height = this.stage.style.height;
  }

  mark(box) {
    if (this.current && this.current.element) this.current.element.classList.remove("now");
    this.current = box;
    if (box.element) box.element.classList.add("now");
    const x = box.start * this.width() / this.shown, view = this.scroller;
    if (x < view.scrollLeft || x > view.scrollLeft + view.clientWidth - 40) view.scrollLeft = x - 40;
    this.onStep(box);
  }

  play(box) {
    this.mark(box);
    this.end = box.end;
    if (this.altered) { this.voiceFrom(box.start); return; }
    this.seek(box.start);
    this.audio.play().catch(() => {});
  }

  // Whether the sound is slowed or shifted, which needs its samples.
  get altered() { return Math.abs(this.voice.speed * this.stretch - 1) > 1e-6 || this.voice.tuned != null; }
  get paused() { return this.altered ? !this.voice.playing : this.audio.paused; }
  get time() { return this.altered && this.voice.playing ? this.voice.time : this.audio.currentTime / this.stretch; }

  async voiceFrom(time) {
    this.audio.pause();
    if (!this.voice.sound) {
      if (!this.file) return;
      const file = this.file;
      try {
        const sound = await samplesOf(file);
        if (file !== this.file) return;
        sound.rate *= this.stretch;
        this.voice.use(sound);
      } catch (error) { this.mute.textContent = error.message || "This browser cannot decode this format."; this.mute.hidden = false; return; }
    }
    this.voice.play(time);
    this.watch();
  }

  changeVoice() {
    const playing = !this.audio.paused || this.voice.playing, at = this.audio.paused ? this.head.at ?? 0 : this.audio.currentTime / this.stretch;
    this.voice.stop();
    if (playing && this.altered) this.voiceFrom(at);
    else if (playing) { this.seek(at); this.audio.play().catch(() => {}); }
  }

  step(direction) {
    const at = this.wanted == null ? this.time : this.wanted / this.stretch, here = this.boxes.indexOf(this.current);
    const next = here >= 0 && Math.abs(this.current.start - at) < 0.02 ? this.boxes[here + direction]
      : direction > 0 ? this.boxes.find(b => b.start > at - 0.01) : this.boxes.findLast(b => b.start < at - 0.01);
    if (!next) return;
    this.end = null;
    this.seek(next.start);
    this.mark(next);
  }

  toggle() {
    this.end = null;
    if (!this.paused) { this.voice.stop(); this.audio.pause(); }
    else if (this.altered) this.voiceFrom(this.head.at ?? this.time);
    else this.audio.play().catch(() => {});
  }

  // One place after the other: Chromium may stay between two for ever when it is sent to a third.
  seek(time) {
    const at = time * this.stretch;
    if (this.audio.seeking) this.wanted = at; else this.audio.currentTime = at;
  }

  watch() { if (!this.frame) this.frame = requestAnimationFrame(() => this.follow()); }

  follow() {
    const { scroller, time, paused } = this, x = time * this.width() / (this.shown || 1);
    this.head.at = time;
    this.head.style.left = x + "px";
    if (!paused && (x < scroller.scrollLeft || x > scroller.scrollLeft + scroller.clientWidth)) scroller.scrollLeft = x - 40;
    if (this.end != null && this.wanted == null && time >= this.end) { this.audio.pause(); this.voice.stop(); this.end = null; }
    this.frame = this.paused ? 0 : requestAnimationFrame(() => this.follow());
  }
}
