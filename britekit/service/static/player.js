// A recording: its sound, its spectrogram with boxes for what was found, and the keys that go through them.
// Nothing here knows where a recording or a box comes from: pages give addresses and plain values.

const PICTURE = 256, LANE = 19, MAX_LANES = 12, MAX_BOXES = 2000;
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200];

export function clock(s) {
  const whole = Math.floor(s + 0.005), h = Math.floor(whole / 3600), m = Math.floor(whole / 60) % 60;
  const rest = Math.max(0, s - whole + whole % 60).toFixed(2).padStart(5, "0");
  return h ? h + ":" + String(m).padStart(2, "0") + ":" + rest : m + ":" + rest;
}

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// A colour for the n-th class, the same for ever: eight of about equal lightness, then around the circle.
const HUES = ["#7df9c0", "#8ecbff", "#ffc56b", "#ff9fb0", "#c9b6ff", "#e4ee7b", "#7fe6ee", "#f7b2ea"];
export function colour(n) {
  return n < HUES.length ? HUES[n] : "hsl(" + Math.round(n * 137.508 % 360) + " 85% 76%)";
}

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
    const knobs = element("div", { className: "row" }, element("label", {}, "Zoom ", this.zoom), element("label", {}, "Contrast ", this.contrast));
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

  // sound: address or null. picture: address or null, of an image that shows the first `shown` seconds.
  load({ sound, picture, shown }) {
    this.audio.pause();
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

  // boxes: [{start, end, label, title, colour}], by start; they get a member `element`.
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
      b.element.style.setProperty("--hue", b.colour);
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
    this.seek(box.start);
    this.end = box.end;
    this.audio.play().catch(() => {});
  }

  step(direction) {
    const at = this.wanted ?? this.audio.currentTime, here = this.boxes.indexOf(this.current);
    const next = here >= 0 && Math.abs(this.current.start - at) < 0.02 ? this.boxes[here + direction]
      : direction > 0 ? this.boxes.find(b => b.start > at - 0.01) : this.boxes.findLast(b => b.start < at - 0.01);
    if (!next) return;
    this.end = null;
    this.seek(next.start);
    this.mark(next);
  }

  toggle() {
    this.end = null;
    if (this.audio.paused) this.audio.play().catch(() => {}); else this.audio.pause();
  }

  // One place after the other: Chromium may stay between two for ever when it is sent to a third.
  seek(time) {
    if (this.audio.seeking) this.wanted = time; else this.audio.currentTime = time;
  }

  watch() { if (!this.frame) this.frame = requestAnimationFrame(() => this.follow()); }

  follow() {
    const { audio, scroller } = this, x = audio.currentTime * this.width() / (this.shown || 1);
    this.head.style.left = x + "px";
    if (!audio.paused && (x < scroller.scrollLeft || x > scroller.scrollLeft + scroller.clientWidth)) scroller.scrollLeft = x - 40;
    if (this.end != null && this.wanted == null && audio.currentTime >= this.end) { audio.pause(); this.end = null; }
    this.frame = audio.paused ? 0 : requestAnimationFrame(() => this.follow());
  }
}
