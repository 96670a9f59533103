import { Player, clock, color, element } from "./player.js";
import { authorized } from "./token.js";

const $ = id => document.getElementById(id);
const AT_ONCE = 2, MAX_ROWS = 2000;
const SOUND = /\.(wav|flac|ogg|oga|opus|mp3|m4a|aac|mp4|wma|aiff?|amr|caf|w64|rf64|au|webm)$/i;
// recordings: {file, name, key, found, seconds, state, note, url, picture}, in the order they were chosen.
const state = { recordings: [], shown: null, facts: null, hidden: new Set(), sort: { by: "start", down: false }, run: new AbortController() };
let player;

function say(text, bad) { $("status").textContent = text; $("status").classList.toggle("bad", Boolean(bad)); }
function plural(count, noun) { return count + " " + noun + (count === 1 ? "" : noun.endsWith("s") ? "es" : "s"); }
const threshold = () => Number($("threshold").value), own = () => $("own").checked;
const channel = () => $("channel").value && $("channel").validity.valid ? { channel: $("channel").value } : {};
const named = r => r.name + (r.channel ? ", channel " + r.channel : "");
// Channel, and place and date for occurrence data: what is typed counts for all recordings; half a place counts once it is whole.
function where() {
  const [latitude, longitude, date] = ["latitude", "longitude", "date"].map(id => $(id).validity.valid ? $(id).value : "");
  return { ...channel(), ...(latitude && longitude ? { latitude, longitude } : {}), ...(date ? { date } : {}) };
}

// --- the server ---

async function send(path, fields, signal) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  for (let attempt = 0; ; attempt++) {
    const answer = await authorized(path, { method: "POST", body: form, signal });
    if (answer.status === 429 && attempt < 30) {
      await new Promise(go => setTimeout(go, 1000 * Number(answer.headers.get("Retry-After") || 2)));
      continue;
    }
    if (answer.ok) return answer;
    const body = await answer.json().catch(() => ({}));
    throw Object.assign(new Error(body.error || "The server answered with status " + answer.status), { status: answer.status });
  }
}

// Ask about a recording that was sent before; it is sent again only if its scores are no longer stored.
async function ask(recording, fields, signal) {
  if (recording.key) try {
    return await send("detections", { ...fields, key: recording.key, name: recording.file.name.replace(/\.[^.]*$/, "") }, signal);
  } catch (error) { if (error.status !== 410) throw error; }
  return send("detections", { ...fields, audio: recording.file }, signal);
}

async function label(recording, signal) {
  const min_score = threshold(), thresholds = own(), place = where();
  const found = await (await ask(recording, { min_score, thresholds, ...place, format: "json" }, signal)).json();
  // A key names the channel that was asked for; the next question names its own.
  Object.assign(recording, { key: found.key.replace(/^ch\d+-/, ""), channel: found.channel, seconds: found.seconds, stretch: found.time_expansion ?? 1, damaged: found.damaged_at, calibrated: found.calibrated, base: min_score, own: thresholds, where: JSON.stringify(place) });
  recording.found = found.detections.map(d => ({ ...d, recording }));
}

// --- the queue ---

async function add(files) {
  const chosen = [...files], known = chosen.length === 1 ? chosen : chosen.filter(f => SOUND.test(f.name) || /^(audio|video)\//.test(f.type));
  const out = chosen.length - known.length;
  if (!known.length) { say(chosen.length ? "None of these " + plural(chosen.length, "file") + " is a recording." : "The folder is empty.", true); return; }
  if (state.run.signal.aborted) state.run = new AbortController();
  for (const file of known) state.recordings.push({ file, name: file.webkitRelativePath || file.name, state: "waiting", note: "", found: null });
  say(out ? plural(out, "file") + (out === 1 ? " is not a recording and was" : " are not recordings and were") + " skipped." : "");
  list();
  for (let n = 0; n < AT_ONCE; n++) work();
}

async function work() {
  const recording = state.recordings.find(r => r.state === "waiting"), { signal } = state.run;
  if (!recording || signal.aborted) return;
  recording.state = "analyzing";
  list();
  try {
    await label(recording, signal);
    recording.state = "done";
    if (!state.shown) open(recording);
    else if ($("all").checked) draw();
  } catch (error) {
    recording.state = signal.aborted ? "cancelled" : "failed";
    recording.note = error.message;
    if (!signal.aborted && state.recordings.length === 1) say(error.message, true);
  }
  list();
  work();
}

function list() {
  const all = state.recordings, ended = all.filter(r => r.state !== "waiting" && r.state !== "analyzing");
  const failed = all.filter(r => r.state === "failed").length, cancelled = all.filter(r => r.state === "cancelled").length;
  $("queue").hidden = !all.length;
  $("progress").max = all.length; $("progress").value = ended.length;
  $("count").textContent = ended.length + " of " + all.length + (failed ? ", " + failed + " failed" : "") + (cancelled ? ", " + cancelled + " cancelled" : "");
  $("cancel").hidden = ended.length === all.length;
  $("scope").hidden = all.length < 2;
  $("files").replaceChildren(...all.map(r => {
    const pick = element("button", { type: "button", textContent: r.name, disabled: r.state !== "done" });
    pick.addEventListener("click", () => open(r));
    const note = r.state === "done" ? plural(visible(r).length, "detection") + (r.damaged == null ? "" : "; damaged at " + clock(r.damaged) + "; analyzed up to there")
      : r.state === "failed" ? r.note : r.state + (r.state === "analyzing" ? " …" : "");
    return element("li", { className: r === state.shown ? "now" : "" }, pick, element("span", { textContent: note, className: r.state === "failed" ? "bad" : "" }));
  }));
}

$("cancel").addEventListener("click", () => {
  state.run.abort();
  for (const r of state.recordings) if (r.state === "waiting") r.state = "cancelled";
  list();
});

// --- one recording ---

async function open(recording) {
  const before = state.shown;
  if (before && before !== recording) { for (const url of [before.url, before.picture]) if (url) URL.revokeObjectURL(url); before.url = before.picture = null; }
  state.shown = recording;
  $("now").textContent = "";
  recording.url ??= URL.createObjectURL(recording.file);
  $("result").hidden = false;
  player.load({ sound: recording.url, file: recording.file, picture: recording.picture, shown: recording.width || recording.seconds, stretch: recording.stretch });
  list(); draw();
  if (recording.picture) return;
  try {
    const asked = channel(), answer = await send("spectrogram", { audio: recording.file, ...asked });
    const image = URL.createObjectURL(await answer.blob());
    if (state.shown !== recording || asked.channel !== channel().channel) { URL.revokeObjectURL(image); return; }
    recording.picture = image;
    recording.width = Number(answer.headers.get("X-Picture-Seconds")) || recording.seconds;
    const { currentTime, paused } = player.audio;
    if (paused && !currentTime) player.load({ sound: recording.url, file: recording.file, picture: image, shown: recording.width, stretch: recording.stretch });
    else { player.picture.src = image; player.picture.hidden = false; }
    draw();
  } catch (error) { if (state.shown === recording) say(error.message, true); }
}

// --- detections ---

const place = name => Math.max(0, state.facts.classes.findIndex(c => c.name === name));
// Labels at the threshold they were made for are all shown: a long sound may have weaker parts. Until the server has
// answered for a higher one, those below it are hidden.
const above = r => own() || threshold() <= r.base ? r.found : r.found.filter(d => d.score >= threshold());
const visible = r => above(r).filter(d => !state.hidden.has(d.class_name));
const listed = () => $("all").checked && state.recordings.length > 1 ? state.recordings.filter(r => r.found) : state.shown ? [state.shown] : [];

const COLUMNS = [
  { by: "recording", title: "Recording", of: d => named(d.recording) },
  { by: "class_name", title: "Class", of: d => d.class_name },
  { by: "start", title: "Start", number: true, of: d => d.start, text: d => clock(d.start) },
  { by: "end", title: "End", number: true, of: d => d.end, text: d => clock(d.end) },
  { by: "score", title: "Score", number: true, of: d => d.score, text: d => d.score.toFixed(3) },
];

const style = c => (c.number ? "number " : "") + c.by;

function draw() {
  if (!state.shown) return;
  $("heard").textContent = named(state.shown) + " (" + clock(state.shown.seconds) + ")";
  const boxes = visible(state.shown).map(d => Object.assign(d, {
    label: d.class_name, color: color(place(d.class_name)),
    title: d.class_name + ", " + clock(d.start) + " to " + clock(d.end) + ", " + d.score.toFixed(3),
  }));
  player.show(boxes);
  legend();
  table();
}

function legend() {
  const counts = new Map();
  for (const d of listed().flatMap(above)) counts.set(d.class_name, (counts.get(d.class_name) || 0) + 1);
  for (const name of state.hidden) if (!counts.has(name)) counts.set(name, 0);
  $("legend").replaceChildren(...[...counts.keys()].sort((a, b) => place(a) - place(b)).map(name => {
    const chip = element("button", { type: "button", textContent: name + " " + counts.get(name), ariaPressed: String(!state.hidden.has(name)) });
    chip.style.setProperty("--hue", color(place(name)));
    chip.addEventListener("click", () => { if (!state.hidden.delete(name)) state.hidden.add(name); draw(); list(); });
    return chip;
  }));
}

function table() {
  const rows = listed().flatMap(visible), { by, down } = state.sort, column = COLUMNS.find(c => c.by === by);
  const several = listed().length > 1, columns = COLUMNS.filter(c => several || c.by !== "recording");
  const compare = (a, b) => column.number ? column.of(a) - column.of(b) : column.of(a).localeCompare(column.of(b));
  rows.sort((a, b) => (down ? -1 : 1) * compare(a, b) || a.recording.name.localeCompare(b.recording.name) || a.start - b.start);
  $("heads").replaceChildren(...columns.map(c => {
    const sort = element("button", { type: "button", textContent: c.by === "score" && state.shown.calibrated ? "Probability" : c.title });
    sort.addEventListener("click", () => {
      state.sort = { by: c.by, down: c.by === by ? !down : c.by === "score" }; table();
      $("heads").children[columns.indexOf(c)].firstChild.focus();
    });
    const head = element("th", { scope: "col", className: style(c) }, sort);
    if (c.by === by) head.ariaSort = down ? "descending" : "ascending";
    return head;
  }), element("th", { scope: "col", textContent: "Listen" }));
  $("rows").replaceChildren(...rows.slice(0, MAX_ROWS).map(d => {
    const cells = columns.map(c => element("td", { textContent: (c.text || c.of)(d), className: style(c) }));
    const dot = element("span", { className: "dot" });
    dot.style.background = color(place(d.class_name));
    cells[several ? 1 : 0].prepend(dot);
    const listen = element("button", { type: "button", textContent: "Play", ariaLabel: "Play " + d.class_name + " at " + clock(d.start) });
    listen.addEventListener("click", async () => { if (d.recording !== state.shown) await open(d.recording); player.play(d); });
    d.row = element("tr", { className: d === player.current ? "now" : "" }, ...cells, element("td", {}, listen));
    return d.row;
  }));
  const classes = new Set(rows.map(d => d.class_name)).size;
  $("summary").textContent = rows.length ? plural(rows.length, "detection") + " of " + plural(classes, "class") + (rows.length > MAX_ROWS ? "; the first " + MAX_ROWS + " are listed, and at most " + MAX_ROWS + " of a recording drawn" : "")
    : state.hidden.size ? "No detections of the chosen classes at " + threshold().toFixed(2) + "."
    : "No detections at " + threshold().toFixed(2) + ". Lower the threshold to see weaker ones.";
}

function step(d) {
  for (const old of document.querySelectorAll("tr.now")) old.classList.remove("now");
  if (d.row) d.row.classList.add("now");
  $("now").textContent = d.title;
}

// While the slider moves, what is known is filtered; the server labels its kept scores for exactly that threshold, since
// sounds change their length with it. One request at a time, the one on view first.
let labeling = false;
async function relabel() {
  if (labeling) return;
  labeling = true;
  try {
    for (;;) {
      const stale = r => r.found && (r.base !== threshold() || r.own !== own() || r.where !== JSON.stringify(where()));
      const next = stale(state.shown || {}) ? state.shown : state.recordings.find(stale);
      if (!next) break;
      await label(next);
      if (next === state.shown || $("all").checked) draw();
    }
  } catch (error) { say(error.message, true); }
  labeling = false;
  list();
}
$("threshold").addEventListener("input", () => {
  $("value").textContent = threshold().toFixed(2);
  draw(); list(); relabel();
});
$("own").addEventListener("change", relabel);
$("channel").addEventListener("change", async () => {
  say("");
  for (const r of state.recordings) { if (r.picture) URL.revokeObjectURL(r.picture); r.picture = null; }
  await relabel();
  if (state.shown) open(state.shown);
});
for (const id of ["latitude", "longitude", "date"]) $(id).addEventListener("change", () => { say(""); relabel(); });
$("all").addEventListener("change", draw);

// --- downloads ---

async function download(format) {
  const fields = { min_score: threshold(), thresholds: own(), ...where(), format };
  const chosen = listed().filter(r => r.found);
  if (state.hidden.size) {
    fields.classes = state.facts.classes.map(c => c.name).filter(name => !state.hidden.has(name)).join("\n");
  }
  try {
    for (const recording of chosen) {
      const answer = await ask(recording, fields);
      const head = answer.headers.get("Content-Disposition") || "";
      const whole = /filename\*=UTF-8''([^;]+)/.exec(head), plain = /filename="([^"]+)"/.exec(head);
      const link = element("a", { href: URL.createObjectURL(await answer.blob()) });
      link.download = whole ? decodeURIComponent(whole[1]) : plain ? plain[1] : recording.name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    }
  } catch (error) { say(error.message, true); }
}

// --- choosing ---

for (const id of ["file", "folder"]) $(id).addEventListener("change", () => { if ($(id).files.length) add($(id).files); $(id).value = ""; });
for (const name of ["dragenter", "dragover"]) addEventListener(name, e => { e.preventDefault(); $("drop").classList.add("over"); });
addEventListener("dragleave", e => { if (!e.relatedTarget) $("drop").classList.remove("over"); });
addEventListener("drop", async e => {
  e.preventDefault(); $("drop").classList.remove("over");
  const entries = [...e.dataTransfer.items].map(item => item.webkitGetAsEntry && item.webkitGetAsEntry()).filter(Boolean), files = [...e.dataTransfer.files];
  add(entries.some(entry => entry.isDirectory) ? (await Promise.all(entries.map(inside))).flat() : files);
});
async function inside(entry) {
  if (entry.isFile) return [await new Promise((take, fail) => entry.file(take, fail))];
  const reader = entry.createReader(), found = [];
  for (;;) {  // a reader gives a hundred at a time
    const some = await new Promise((take, fail) => reader.readEntries(take, fail));
    if (!some.length) return found;
    for (const each of some) found.push(...await inside(each));
  }
}
$("sample").addEventListener("click", async () => {
  const answer = await authorized("sample"), name = state.facts.sample;
  add([new File([await answer.blob()], name)]);
});

authorized("model").then(a => a.json()).then(facts => {
  state.facts = facts;
  player = new Player($("player"), { marks: facts.frequency_marks, onStep: step });
  const names = facts.classes.map(c => c.name);
  $("facts").textContent = plural(names.length, "class") + ": " + names.slice(0, 12).join(", ") + (names.length > 12 ? ", …" : "");
  $("about").textContent = facts.name + ", britekit " + facts.version + ", " + plural(facts.members.length, "model") + (facts.calibration ? ", calibrated." : ", not calibrated.");
  $("threshold").value = facts.settings.min_score;
  $("value").textContent = threshold().toFixed(2);
  $("kind").textContent = facts.calibration ? "Lowest probability" : "Lowest score";
  const thresholds = Object.values(facts.calibration?.thresholds || {}).filter(t => t !== null);
  $("each").hidden = !thresholds.length;
  $("precision").textContent = "precision " + (facts.calibration?.precision ?? 0).toFixed(2) + ", " + plural(thresholds.length, "class");
  $("where").hidden = !facts.occurrence;
  $("sample").hidden = !facts.sample;
  for (const { name, title } of facts.formats) {
    const button = element("button", { type: "button", textContent: title });
    button.addEventListener("click", () => download(name));
    $("downloads").append(button);
  }
}).catch(() => say("The server does not answer.", true));
