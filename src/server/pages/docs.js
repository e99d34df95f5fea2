// Reads /openapi.json, lists its operations, shows one, and sends a request to try it. Text from the description only ever
// becomes text nodes.
"use strict";

const DEPTH_MAX_LEVELS = 6;
const $ = (id) => document.getElementById(id);
const node = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
};

let description;
const resolve = (schema) => {
  let found = schema;
  while (found && found.$ref) found = description.components.schemas[found.$ref.split("/").pop()];
  return found || {};
};
/** The schema without the arm that says that it may be null. */
const solid = (schema) => (schema.anyOf ? schema.anyOf.find((arm) => arm.type !== "null") : schema);

const typeName = (schema) => {
  const inner = solid(schema);
  if (inner.$ref) return inner.$ref.split("/").pop().split(".").pop();
  if (inner.type === "array") return `list of ${typeName(inner.items)}`;
  if (inner.additionalProperties) return `map to ${typeName(inner.additionalProperties)}`;
  return [].concat(inner.type || "any").filter((one) => one !== "null").join(" or ") + (inner.format ? ` (${inner.format})` : "");
};

const inside = (schema) => {
  const inner = solid(schema);
  if (inner.type === "array") return inside(inner.items);
  if (inner.additionalProperties) return inside(inner.additionalProperties);
  return resolve(inner);
};

/** The fields of a schema, each opened when somebody wants to see it. */
const fields = (schema, depth = 0) => {
  const found = inside(schema);
  const list = node("div");
  for (const [name, field] of Object.entries(found.properties || {})) {
    const marks = [field.readOnly ? "read-only" : "", field.deprecated ? "deprecated" : "", (found.required || []).includes(name) ? "required" : ""];
    const head = [node("code", {}, name), " ", node("span", { class: "quiet" }, [typeName(field), ...marks.filter(Boolean)].join(", "))];
    const about = field.description ? node("div", {}, field.description) : null;
    const target = inside(field);
    if ((target.properties || target.enum) && depth < DEPTH_MAX_LEVELS) {
      const more = node("details", {}, node("summary", {}, ...head), about);
      more.addEventListener("toggle", () => {
        if (!more.open || more.dataset.filled) return;
        more.dataset.filled = "yes";
        more.append(target.enum ? node("ul", {}, ...target.enum.map((value) => node("li", {}, node("code", {}, value)))) : fields(field, depth + 1));
      });
      list.append(more);
    } else {
      list.append(node("details", {}, node("summary", {}, ...head), about));
    }
  }
  return list;
};

const token = () => $("token").value.trim();

const send = async (verb, path, operation, inputs, body, out) => {
  let target = path;
  const query = new URLSearchParams();
  for (const { parameter, input } of inputs) {
    const value = input.value;
    if (parameter.in === "path") target = target.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (value !== "") query.append(parameter.name, value);
  }
  if ([...query].length) target += `?${query}`;
  const headers = { "content-type": "application/json" };
  if (token()) headers.authorization = `Bearer ${token()}`;
  out.replaceChildren(node("p", { class: "quiet" }, `${verb.toUpperCase()} ${target} …`));
  try {
    const answer = await fetch(target, { method: verb.toUpperCase(), headers, body: body && verb !== "get" ? body.value : undefined });
    const text = await answer.text();
    let shown = text;
    try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* lines of a stream, or no JSON: as it came */ }
    const heads = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    out.replaceChildren(node("p", {}, `${answer.status} — ${verb.toUpperCase()} ${target}`), node("pre", {}, heads), node("pre", {}, shown));
  } catch (error) {
    out.replaceChildren(node("p", {}, `no answer: ${error.message}`));
  }
};

const show = (verb, path, operation) => {
  const inputs = (operation.parameters || []).map((parameter) => ({ parameter, input: node("input", { "aria-label": parameter.name }) }));
  const rows = inputs.map(({ parameter, input }) =>
    node("tr", {}, node("td", {}, node("code", {}, parameter.name)), node("td", {}, input), node("td", {}, `${parameter.in}, ${typeName(parameter.schema)}. `, parameter.description || "")));
  const request = operation.requestBody && operation.requestBody.content["application/json"].schema;
  const body = request ? node("textarea", { spellcheck: "false", "aria-label": "body" }) : null;
  if (body) body.value = "{}";
  const out = node("div");
  const answer = operation.responses["200"].content["application/json"].schema;
  $("call").replaceChildren(
    node("h2", {}, node("span", { class: `verb ${verb}` }, verb), " ", node("code", {}, path)),
    node("p", { class: "quiet" }, node("code", {}, operation.operationId)),
    node("p", {}, operation.description || ""),
    ...(rows.length ? [node("h3", {}, "Parameters"), node("table", {}, ...rows)] : []),
    ...(body ? [node("h3", {}, "Body"), fields(request), body] : []),
    node("p", {}, node("button", { onclick: () => send(verb, path, operation, inputs, body, out) }, "Send")),
    out,
    node("h3", {}, "Answer"),
    fields(answer),
  );
};

const list = () => {
  const wanted = $("find").value.toLowerCase();
  const index = $("index");
  index.replaceChildren();
  for (const tag of description.tags) {
    const links = [];
    for (const [path, verbs] of Object.entries(description.paths)) {
      for (const [verb, operation] of Object.entries(verbs)) {
        if (!operation.tags.includes(tag.name)) continue;
        if (wanted && ![path, operation.operationId, operation.description].join(" ").toLowerCase().includes(wanted)) continue;
        links.push(node("a", { href: `#${operation.operationId}`, ...(location.hash === `#${operation.operationId}` ? { "aria-current": "true" } : {}) },
          node("span", { class: `verb ${verb}` }, verb), path));
      }
    }
    if (links.length) index.append(node("h3", {}, tag.name), ...links);
  }
};

const go = () => {
  list();
  const wanted = decodeURIComponent(location.hash.slice(1));
  for (const [path, verbs] of Object.entries(description.paths)) {
    for (const [verb, operation] of Object.entries(verbs)) {
      if (operation.operationId === wanted) show(verb, path, operation);
    }
  }
};

fetch("/openapi.json").then((answer) => answer.json()).then((read) => {
  description = read;
  $("find").addEventListener("input", list);
  addEventListener("hashchange", go);
  go();
}).catch((error) => $("call").replaceChildren(node("p", {}, `the description cannot be read: ${error.message}`)));
