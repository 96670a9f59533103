import { element } from "./player.js";
import { authorized } from "./token.js";

function field(name, schema, required) {
  const choices = schema.enum || (schema.anyOf || []).flatMap(s => s.enum || []);
  const one = schema.type ? schema : (schema.anyOf || [{}])[0];
  let input;
  if (choices.length) input = element("select", {}, ...(schema.default ? [] : [element("option")]), ...choices.map(c => element("option", { textContent: c, value: c })));
  else if (one.format === "binary") input = element("input", { type: "file", required });
  else if (one.type === "number" || one.type === "integer")
    input = element("input", { type: "number", min: one.minimum ?? "", max: one.maximum ?? "", step: one.type === "integer" ? 1 : "any", placeholder: schema.default ?? "" });
  else if (one.type === "boolean") input = element("select", {}, element("option"), element("option", { textContent: "true" }));
  else input = element(name === "classes" ? "textarea" : "input", { rows: 2 });
  input.name = name;
  return element("label", {}, element("b", { textContent: name }), input, element("small", { textContent: plain(schema.description) }));
}

const plain = text => (text || "").replaceAll("`", "");

async function show(answer, place) {
  const kind = answer.headers.get("Content-Type") || "";
  const body = kind.startsWith("image/") ? element("img", { src: URL.createObjectURL(await answer.blob()), alt: "The picture" }) : element("pre");
  if (body.tagName === "PRE") {
    let text = await answer.text();
    if (kind.startsWith("application/json")) text = JSON.stringify(JSON.parse(text), null, 1);
    body.textContent = text.length > 20000 ? text.slice(0, 20000) + "\n… (" + text.length + " characters)" : text;
  }
  place.replaceChildren(element("p", { textContent: "Status " + answer.status + (kind ? ", " + kind : "") }), body);
}

function request(path, method, body, given, parameters) {
  const query = new URLSearchParams(), headers = {};
  for (const { name, in: where } of parameters) {
    const value = given.get(name);
    given.delete(name);
    if (where === "path") path = path.replace("{" + name + "}", encodeURIComponent(value || ""));
    else if (value && where === "header") headers[name] = value;
    else if (value) query.append(name, value);
  }
  return authorized("." + path + (query.size ? "?" + query : ""), { method: method.toUpperCase(), headers, ...(body ? { body: given } : {}) });
}

function section(path, method, call) {
  const body = call.requestBody, form = element("form"), place = element("div");
  const schema = body ? body.content["multipart/form-data"].schema : { properties: {} }, parameters = call.parameters || [];
  for (const p of parameters) form.append(field(p.name, { description: p.description, ...p.schema }, p.required));
  for (const [name, value] of Object.entries(schema.properties)) form.append(field(name, value, (schema.required || []).includes(name)));
  form.append(element("div", {}, element("button", { textContent: "Try" })));
  form.addEventListener("submit", async event => {
    event.preventDefault();
    const given = new FormData();
    for (const [name, value] of new FormData(form)) if (value instanceof File ? value.name : value) given.append(name, value);
    place.replaceChildren("…");
    try { await show(await request(path, method, body, given, parameters), place); }
    catch (error) { place.textContent = error.message; }
  });
  const statuses = element("details", {}, element("summary", { textContent: "Statuses" }),
    element("ul", {}, ...Object.entries(call.responses).map(([status, r]) => element("li", { textContent: status + " " + plain(r.description) }))));
  return element("section", { className: "call", id: call.operationId }, element("h2", { textContent: method.toUpperCase() + " " + path }),
    element("p", { textContent: plain(call.description) }), element("code", { textContent: call["x-curl"].replace("http://127.0.0.1:3000", location.href.replace(/\/docs.*$/, "")) }), form, place, statuses);
}

const answer = await fetch("docs.json"), description = await answer.json();
document.getElementById("about").textContent = description.info.title + " " + description.info.version + ". " + description.info.description;
for (const [path, methods] of Object.entries(description.paths))
  for (const [method, call] of Object.entries(methods)) document.getElementById("calls").append(section(path, method, call));
