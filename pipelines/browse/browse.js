// The page of `corpusmill browse`. Data only ever becomes text of elements: nothing here parses HTML.

import { graph } from "./graph.js";
import { topics } from "./topics.js";

const $ = id => document.getElementById(id), state = { d: 0, n: 0, snapshots: [], open: null };
const views = [
  ["documents", "Documents"], ["dropped", "Dropped"], ["thresholds", "Thresholds"], ["pairs", "Near-duplicates"],
  ["quarantine", "Quarantine"], ["map", "Map"], ["compare", "Compare"]];

/** An element. `on...` are listeners, other attributes are set; false ones are left out; children are nodes or text. */
function h(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter(c => c !== null && c !== undefined && c !== false));
  return made;
}

const count = n => n === null || n === undefined ? "?" : n.toLocaleString("en-US");
const size = n => {
  if (n === null || n === undefined) return "?";
  let unit = 0, value = n;
  while (value >= 999.5 && unit < 5) { value /= 1000; unit++; }
  return (unit && value < 99.95 ? value.toFixed(1) : Math.round(value)) + " " + ["B", "kB", "MB", "GB", "TB", "PB"][unit];
};
const rows_ = n => n === 1 ? "1 row" : count(n) + " rows";
const share = (part, all) => all ? (100 * part / all).toFixed(1) + " %" : "-";
const figure = v => typeof v !== "number" ? String(v ?? "") : Number.isInteger(v) ? String(v) : Math.abs(v) >= 1000 ? v.toFixed(0) : String(+v.toPrecision(4));

const address = (path, asked) => path + "?" + new URLSearchParams({ d: state.d, n: state.n, ...asked });
const waiting = new Map();

/** An answer of the server. A later question of the same `slot` cancels this one, and then nothing is returned. */
async function ask(name, asked = {}, slot = "") {
  if (slot) waiting.get(slot)?.abort();
  const abort = new AbortController();
  if (slot) waiting.set(slot, abort);
  try {
    const answer = await fetch(address("api/" + name, asked), { signal: abort.signal }), data = await answer.json();
    if (!answer.ok) throw new Error(data.error ?? answer.statusText);
    return data;
  } catch (error) {
    if (abort.signal.aborted) return new Promise(() => {});
    throw error;
  }
}

const svg = (tag, a, ...c) => { const e = document.createElementNS("http://www.w3.org/2000/svg", tag); for (const [k, v] of Object.entries(a)) e.setAttribute(k, v); e.append(...c); return e; };
const failed = error => h("p", { class: "error", role: "alert" }, error.message);
const text = (value, marks) => h("pre", { dir: "auto", tabindex: "0" }, value);

// lists of rows: documents, rows of tokens, dropped documents, pairs, quarantine

function list(table, intro, row, detail, sort = "") {
  const query = { search: "", mode: "text", inTexts: false, filters: [], sort, desc: false }, columns = table.columns;
  const body = h("div"), told = h("p", { class: "count", role: "status" }), panel = h("section", { class: "detail", "aria-label": "Details", hidden: true });
  const split = h("div", { class: "split" }, h("div", {}, told, body), panel), chips = h("span", { class: "tools" });
  const asked = () => ({ table: table.name, search: query.search, mode: query.mode, filters: JSON.stringify(query.filters),
    sort: query.sort, desc: query.desc ? 1 : 0 });

  function close() { panel.hidden = true; split.classList.remove("open"); }
  async function show(item, mark) {
    panel.hidden = false; split.classList.add("open");
    body.querySelectorAll("[aria-selected]").forEach(r => r.setAttribute("aria-selected", r === mark));
    const inside = h("div", {}, "Looking …");
    panel.replaceChildren(h("button", { onclick: close }, "Close"), inside);
    try { inside.replaceChildren(await detail(item, id => show({ _id: id, id }, null))); } catch (error) { inside.replaceChildren(failed(error)); }
  }

  const shown = row.filter(c => c in columns || c === "bytes of text");
  function line(item, names = shown) {
    const cells = names.map((c, i) => {
      const value = item[c], numeric = typeof value === "number";
      const name = i === 0 && detail ? h("button", { class: "plain", onclick: e => show(item, e.target.closest("tr")) }, String(value ?? "?")) : null;
      return h("td", { class: (numeric ? "n " : "") + (c === "text" ? "text" : i > 1 ? "extra" : "") },
        name ?? h("div", { class: "cell", dir: "auto" }, numeric ? figure(value) : String(value ?? "")));
    });
    return h("tr", { "aria-selected": "false" }, cells);
  }

  async function load(offset, into) {
    const rows = await ask("rows", { ...asked(), offset }, "rows");
    into.append(...rows.map(item => line(item)));
    return rows.length;
  }
  async function refresh() {
    close();
    chips.replaceChildren(...query.filters.map((f, i) => h("span", { class: "chip" }, f.join(" "),
      h("button", { class: "plain", "aria-label": `Remove the filter ${f.join(" ")}`, onclick: () => { query.filters.splice(i, 1); refresh(); } }, "✕"))));
    const inTexts = query.inTexts && query.search;  // of dropped documents: the sources are read
    told.textContent = inTexts ? "Reading the sources …" : "Searching …";
    const head = h("tr", {}, shown.map((c, i) => h("th", { scope: "col", class: i > 1 && c !== "text" ? "extra" : "",
        "aria-sort": query.sort === c ? (query.desc ? "descending" : "ascending") : false },
      c in columns && !columns[c].endsWith("]") ? h("button", { class: "plain", onclick: () => {
        query.desc = query.sort === c ? !query.desc : true; query.sort = c; refresh(); } },
        c + (query.sort === c ? (query.desc ? " ↓" : " ↑") : "")) : c)));
    const rows = h("tbody"), more = h("button", { hidden: true }, "Show more");
    let at = 0;
    if (inTexts) {
      try {
        const found = await ask("dropped_texts", asked(), "rows"), names = ["id", "text", "step", "reason", "value", "source"];
        rows.append(...found.rows.map(item => line(item, names)));
        body.replaceChildren(found.rows.length ? h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Rows" }, h("table", { class: "rows" },
          h("thead", {}, h("tr", {}, names.map((c, i) => h("th", { scope: "col", class: i > 1 ? "extra" : "" }, c)))), rows)) : "");
        told.textContent = !found.rows.length ? "No row matches." : found.more ? `The first ${count(found.rows.length)} rows in the order of the sources. A filter makes them fewer.` : rows_(found.rows.length);
      } catch (error) { told.textContent = ""; body.replaceChildren(failed(error)); }
      return;
    }
    const next = async () => { const n = await load(at, rows); at += n; more.hidden = n < 50; };
    more.addEventListener("click", () => next().catch(e => body.append(failed(e))));
    const plain = !query.search && !query.filters.length && table.rows !== null;
    const counted = plain ? Promise.resolve({ rows: table.rows, bytes: null }) : ask("count", asked(), "count");
    try {
      await next();
      body.replaceChildren(h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Rows" }, h("table", { class: "rows" }, h("thead", {}, head), rows)), more);
      told.textContent = at ? "Counting …" : "No row matches.";
      const total = await counted;
      told.textContent = total.rows ? rows_(total.rows) + (total.bytes === null ? "" : `, ${size(total.bytes)} of text`) : "No row matches.";
    } catch (error) { counted.catch(() => {}); told.textContent = ""; body.replaceChildren(failed(error)); }
  }

  const search = h("input", { type: "search", placeholder: "text" in columns ? "Search the texts" : "id" in columns || "id_a" in columns ? "Search the ids" : "Search the rows", "aria-label": "Search" });
  const mode = h("select", { "aria-label": "How to search" }, ["text", "any case", "regex"].map(m => h("option", {}, m)));
  const where = table.name === "dropped" && h("select", { "aria-label": "Where to search" }, ["in texts", "in ids"].map(m => h("option", {}, m)));
  if (where) search.placeholder = "Search the texts or ids";
  const form = h("form", { class: "tools", role: "search", onsubmit: e => { e.preventDefault(); query.search = search.value; query.mode = mode.value; query.inTexts = where && where.value === "in texts"; refresh(); } },
    search, where || "", mode, h("button", { class: "main" }, "Search"), h("button", { type: "button", onclick: () => filterDialog(table, f => { query.filters.push(f); refresh(); }) }, "Filter"),
    h("button", { type: "button", onclick: () => query.inTexts && query.search ? dialog("Export what is seen", h("p", {}, "Rows that were found in the sources are exported by the command `corpusmill dropped DIR --grep REGEX --json`."))
      : exportDialog(table, asked()) }, "Export"));
  refresh();
  return [intro && h("p", { class: "dim" }, intro), form, chips, split];
}

function dialog(title, ...children) {
  const made = h("dialog", { "aria-label": title, onclose: () => made.remove() }, h("h2", {}, title), ...children,
    h("p", {}, h("button", { onclick: () => made.close() }, "Close")));
  document.body.append(made);
  made.showModal();
  return made;
}

function filterDialog(table, done) {
  const column = h("select", { "aria-label": "Column" }, Object.keys(table.columns).map(c => h("option", {}, c)));
  const operator = h("select", { "aria-label": "Comparison" }, ["=", "≠", "<", "≤", ">", "≥", "contains", "matches", "null", "not null"].map(o => h("option", {}, o)));
  const value = h("input", { "aria-label": "Value" }), known = h("p", { class: "tools" });
  const box = dialog("Filter", h("form", { class: "tools", onsubmit: e => { e.preventDefault(); done([column.value, operator.value, value.value]); box.close(); } },
    column, operator, value, h("button", { class: "main" }, "Add")), h("h3", {}, "Frequent values"), known);
  const look = () => {
    known.textContent = "Looking …";
    ask("values", { table: table.name, column: column.value }, "values").then(found => known.replaceChildren(...found.map(v =>
      h("button", { type: "button", onclick: () => { done([column.value, v.value === null ? "null" : "=", v.value ?? ""]); box.close(); } },
        `${(v.value ?? "null").slice(0, 60)} ${count(v.rows)}`)))).catch(e => known.replaceChildren(failed(e)));
  };
  column.addEventListener("change", look);
  column.value = ["lang", "reason", "source"].find(c => c in table.columns) ?? column.value;
  look();
}

async function exportDialog(table, asked) {
  const yaml = h("pre", { tabindex: "0" }, "…");
  dialog("Export what is seen", h("p", {}, h("a", { href: address("export/parquet", asked), download: "" }, "Parquet file"), " of these rows, with every column"),
    "id" in table.columns && h("p", {}, h("a", { href: address("export/forget", asked), download: "" }, "List of ids"), " for `corpusmill forget DIR --ids FILE`"),
    h("h3", {}, "As a change of the recipe"), yaml);
  try { yaml.textContent = (await ask("recipe", asked)).yaml; } catch (error) { yaml.replaceWith(failed(error)); }
}

// one document

async function documentDetail(item, go) {
  const found = await ask("document", { id: item._id }, "detail"), parts = [h("h2", {}, h("bdi", {}, found.id), " ", h("small", {}, found.outcome))];
  parts.push(h("ul", {}, found.sentences.map(s => h("li", {}, s))), h("h3", {}, "Lineage"), graph(found.graph, go));
  if (found.pieces.length) parts.push(h("h3", {}, "Pieces"), found.pieces.map((p, i) => h("article", { class: `piece b${i % 6}` },
    h("p", { class: "id" }, p.id, " ", h("small", {}, `${count(p.tokens)} tokens`)), text(p.text))));
  else parts.push(h("h3", {}, "Text"), found.text ? text(found.text) : h("p", { class: "dim" }, "Its text is neither in the snapshot nor in the sources as they are now."),
    h("p", { class: "dim" }, found.where));
  const columns = Object.entries(found.columns);
  if (columns.length) parts.push(h("h3", {}, "Columns"), h("table", {}, h("tbody", {}, columns.map(([k, v]) => h("tr", {}, h("th", { scope: "row" }, k), h("td", { dir: "auto" }, v))))));
  return h("div", {}, parts.flat());
}

function sides(found, left, right) {
  if (found.problem) return h("p", { class: "caution" }, found.problem);
  const cell = (bits, tag) => h("td", { dir: "auto" }, bits.map(([part, changed]) => changed ? h(tag, {}, part) : part));
  const changed = found.lines.map(l => l.some(side => side.some(b => b[1])));
  const near = found.lines.filter((_, i) => changed[i - 1] || changed[i] || changed[i + 1]);
  const lines = (near.length ? near : found.lines).slice(0, 300);
  return h("table", { class: "diff" }, h("caption", {}, near.length ? `${count(lines.length)} lines near a difference, of ${count(found.lines.length)}` : "Both are equal."),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, left), h("th", { scope: "col" }, right))),
    h("tbody", {}, lines.map(([a, b]) => h("tr", {}, cell(a, "del"), cell(b, "ins")))));
}

async function pairDetail(item) {
  if (!("_id_a" in item)) return documentDetail(item, () => {});
  const found = await ask("pair", { a: item._id_a, b: item._id_b }, "detail");
  return h("div", {}, h("h2", {}, `Jaccard ${figure(item.jaccard)}`), h("p", {}, "The survivor is ", h("bdi", {}, item.survivor ?? "?"), "."), sides(found, item.id_a, item.id_b));
}

// thresholds

function thresholds() {
  const scores = Object.entries(state.open.scores), rules = scores.flatMap(([step, all]) => Object.entries(all).map(([rule, limit]) => ({ step, rule, limit })));
  if (!rules.length) return [h("p", { class: "caution" }, "No step kept its scores. Write `keep_scores: true` on a filter, and run the recipe again.")];
  const chosen = h("select", { "aria-label": "Rule" }, rules.map((r, i) => h("option", { value: i }, `${r.step}: ${r.rule}`)));
  const area = h("div");
  async function show() {
    const { step, rule, limit } = rules[chosen.value], about = { step, rule };
    area.replaceChildren(h("p", { class: "count" }, "Looking …"));
    let bins;
    try { bins = await ask("histogram", about, "histogram"); } catch (error) { area.replaceChildren(failed(error)); return; }
    if (!bins.bins.length) { area.replaceChildren(h("p", { class: "caution" }, "No document has this score.")); return; }
    const steps = bins.limits.length - 1, scale = v => bins.log ? Math.log10(Math.max(v, bins.low)) : v, begin = scale(bins.low), end = scale(bins.high);
    const value = at => bins.limits[at];
    const place = v => Math.max(0, Math.min(steps, Math.round(steps * (scale(v) - begin) / (end - begin))));
    const now = limit ?? bins.low, range = h("input", { type: "range", min: 0, max: steps, value: place(now), "aria-label": `${rule} of ${step}` });
    const exact = h("input", { type: "number", step: "any", value: figure(now), "aria-label": "Exact limit" });
    const figures = h("div", { class: "big", role: "status" }), drawing = h("div"), moves = h("div", { class: "sides" }), change = h("pre", { tabindex: "0" });
    /** What stays at a limit: known for the places of the slider, asked for other limits. */
    async function figuresAt(limit_) {
      const at = place(limit_), { entered, documents_now, bytes_now } = bins.now;
      if (bins.limits[at] !== limit_) return ask("stays", { ...about, limit: limit_ }, "stays");
      const [leave, leaveBytes, come, comeBytes] = bins.fine[at];
      return { entered, bytes_now, leave, come, documents: documents_now - leave + come, bytes: bytes_now - leaveBytes + comeBytes };
    }
    let turn = 0;
    async function ask_(limit_) {
      draw(limit_);
      const q = { ...about, limit: limit_ }, mine = ++turn;
      try {
        const s = await figuresAt(limit_);
        if (mine !== turn) return;
        figures.replaceChildren(...[["documents stay", count(s.documents), share(s.documents, s.entered) + " of those that reach the step"],
          ["of text stay", size(s.bytes), size(s.bytes - s.bytes_now) === "0 B" ? "as now" : (s.bytes > s.bytes_now ? "+" : "-") + size(Math.abs(s.bytes - s.bytes_now)) + " against now"],
          ["would leave", count(s.leave), "they stay now"], ["would come", count(s.come), "they are dropped now"]]
          .map(([what, big, small]) => h("div", {}, h("strong", {}, big), what, " ", h("br"), h("small", {}, small))));
        await new Promise(done => setTimeout(done, 150));  // until the slider rests
        if (mine !== turn) return;
        const yaml = await ask("limit", { ...q, whole: bins.whole ? 1 : 0 }, "limit");
        change.textContent = yaml.yaml;
        const found = await ask("changing", q, "changing"), boxes = new Map();
        moves.replaceChildren(...[["leave", "Would leave"], ["come", "Would come"]].map(([side, title]) => h("div", {}, h("h3", {}, title),
          found[side].length ? found[side].map(d => { const box = h("div", {}, h("p", { class: "dim" }, "…")); boxes.set(d._id, box);
            return h("article", {}, h("p", { class: "id" }, h("bdi", {}, d.id), " ", h("small", {}, figure(d.value))), box); }) : h("p", { class: "dim" }, "none"))));
        if (!boxes.size) return;
        for (const t of await ask("texts", { ids: JSON.stringify([...boxes.keys()]) }, "texts")) { boxes.get(t._id)?.replaceChildren(text(t.text)); boxes.delete(t._id); }
        for (const box of boxes.values()) box.replaceChildren(h("p", { class: "dim" }, "Its text is not in the sources as they are now."));
      } catch (error) { figures.replaceChildren(failed(error)); }
    }
    function draw(limit_) {
      const top = Math.sqrt(Math.max(1, ...bins.bins)), n = bins.bins.length, at = n * place(limit_) / steps;
      const lost = i => rule.startsWith("min_") ? i + .5 < at : i + .5 > at;
      drawing.replaceChildren(svg("svg", { class: "chart", viewBox: `0 0 ${n} 60`, preserveAspectRatio: "none", role: "img", "aria-label": `Histogram of ${rule.slice(4)} with the limit ${figure(limit_)}` },
        ...bins.bins.map((b, i) => svg("rect", { class: lost(i) ? "lost" : "kept", x: i, width: .92, y: 60 - 58 * Math.sqrt(b) / top, height: 58 * Math.sqrt(b) / top })),
        svg("line", { class: "limit", x1: at, x2: at, y1: 0, y2: 60 })),
        h("div", { class: "edges" }, h("span", {}, figure(bins.low)), h("span", {}, bins.log ? "logarithmic" : ""), h("span", {}, figure(bins.high))));
    }
    range.addEventListener("input", () => { exact.value = value(+range.value); ask_(+exact.value); });
    exact.addEventListener("change", () => { range.value = place(+exact.value); ask_(+exact.value); });
    area.replaceChildren(drawing, h("div", { class: "slider" }, range, exact), figures,
      h("p", { class: "dim" }, limit === null ? "The rule has no limit now." : `The limit is ${figure(limit)} now. Heights are square roots of counts.`),
      h("details", {}, h("summary", {}, "As a change of the recipe"), change), moves);
    ask_(now);
  }
  chosen.addEventListener("change", show);
  show();
  return [h("div", { class: "tools" }, chosen), area];
}

// two snapshots

function comparison() {
  if (state.snapshots.length < 2) return [h("p", { class: "caution" }, "The dataset has one snapshot. A second one comes with the next run that finds something new.")];
  const pick = (at, name) => { const s = h("select", { "aria-label": name }, state.snapshots.map(x => h("option", { value: x.number }, `snapshot ${x.number}`))); s.selectedIndex = at; return s; };
  const a = pick(1, "Older"), b = pick(0, "Newer"), kind = h("select", { "aria-label": "Change" }, ["", "added", "removed", "changed"].map(k => h("option", { value: k }, k || "all changes")));
  const body = h("div"), panel = h("div");
  async function refresh() {
    body.replaceChildren(h("p", { class: "count" }, "Comparing …")); panel.replaceChildren();
    try {
      const found = await ask("diff", { a: a.value, b: b.value, change: kind.value }, "diff");
      const rows = h("tbody"), add = list => rows.append(...list.map(r => h("tr", {}, h("td", {}, h("button", { class: "plain", onclick: async () => {
        panel.replaceChildren(h("h3", {}, r.id), "Looking …");
        try { panel.replaceChildren(h("h3", {}, h("bdi", {}, r.id)), sides(await ask("changed", { a: a.value, b: b.value, id: r._id }, "detail"), `snapshot ${a.value}`, `snapshot ${b.value}`)); }
        catch (error) { panel.replaceChildren(failed(error)); }
        panel.scrollIntoView({ block: "nearest" }); } }, r.id)), h("td", {}, r.source), h("td", {}, r.change))));
      add(found.rows);
      let at = found.rows.length;
      const more = h("button", { hidden: at < 50, onclick: async () => { const next = await ask("diff", { a: a.value, b: b.value, change: kind.value, offset: at }, "diff"); add(next.rows); at += next.rows.length; more.hidden = next.rows.length < 50; } }, "Show more");
      body.replaceChildren(h("div", { class: "big" }, found.counts.map(([source, change, n]) => h("div", {}, h("strong", {}, count(n)), `${change}, ${source}`))),
        found.rows.length ? h("table", {}, h("thead", {}, h("tr", {}, ["document", "source", "change"].map(c => h("th", { scope: "col" }, c)))), rows) : h("p", {}, "No document differs."), more);
    } catch (error) { body.replaceChildren(failed(error)); }
  }
  [a, b, kind].forEach(s => s.addEventListener("change", refresh));
  refresh();
  return [h("div", { class: "tools" }, a, "→", b, kind), panel, body];
}

// the page

function show() {
  const asked = location.hash.slice(1) || "documents", table = state.open?.tables.find(t => t.name === (asked === "documents" && state.open.packed ? "rows" : asked));
  document.querySelectorAll("#views a").forEach(a => a.hash === "#" + asked ? a.setAttribute("aria-current", "page") : a.removeAttribute("aria-current"));
  const none = what => [h("p", { class: "caution" }, state.open.private ? "Documents of private sources are not shown." : what)];
  const parts = asked === "thresholds" ? thresholds() : asked === "compare" ? comparison()
    : asked === "map" ? topics({ h, svg, ask, count, share, figure, text, failed, documentDetail })
    : !table ? none(`This snapshot has no ${asked}.`)
    : asked === "dropped" ? list(table, "", ["id", "step", "reason", "value", "source", "bytes", "survivor"], documentDetail)
    : asked === "pairs" ? list(table, "", ["id_a", "jaccard", "id_b", "survivor"], pairDetail, "jaccard")
    : asked === "quarantine" ? list(table, "", ["file", "position", "reason", "detail", "raw", "source"], null)
    : list(table, "", ["id", "text", ...Object.keys(table.columns).filter(c => !["id", "text", "derived_by", "input_ids", "segment_ids", "position_ids"].includes(c)).slice(0, 8), "bytes of text"], documentDetail);
  $("main").replaceChildren(...parts.filter(Boolean));
}

async function open_() {
  $("main").replaceChildren(h("p", { class: "count" }, "Opening …"));
  try {
    state.open = await ask("open", {}, "open");
    $("report").href = address("report", {});
    if (state.open.packed) for (const o of $("snapshot").options) o.textContent = o.textContent.replace("documents", "rows");
    show();
  } catch (error) { $("main").replaceChildren(failed(error)); }
}

let newest = 0;
async function watch() {
  try {
    const p = await ask("progress", { n: 0 });
    const bar = p.running && h("progress", { class: "progress", max: p.total, value: p.done, "aria-label": "Tasks done" });
    $("live").replaceChildren(...(p.running ? [`${p.stage}: ${count(p.done)} of ${count(p.total)} tasks${p.documents ? `, ${count(p.documents)} documents in those under way` : ""} `, bar] : newest && p.newest > newest
      ? [h("button", { onclick: () => start(state.d) }, `Snapshot ${p.newest} is new: open it`)] : []));
    newest = newest || p.newest;
  } catch { $("live").textContent = "The server does not answer."; }
  setTimeout(watch, 2000);
}

async function start(chosen = 0) {
  const found = await ask("datasets");
  $("dataset").replaceChildren(...found.map((f, i) => h("option", { value: i }, f.path)));
  $("dataset").value = chosen; state.d = chosen;
  state.snapshots = found[chosen].snapshots; newest = state.snapshots[0].number; state.n = newest;
  $("name").textContent = found[chosen].name; document.title = `${found[chosen].name} · corpusmill`;
  $("snapshot").replaceChildren(...state.snapshots.map(s => h("option", { value: s.number }, `${s.number}, ${count(s.documents)} documents`)));
  await open_();
}

$("views").append(...views.map(([key, title]) => h("a", { href: "#" + key }, title)));
$("dataset").addEventListener("change", e => start(+e.target.value));
$("snapshot").addEventListener("change", e => { state.n = +e.target.value; open_(); });
addEventListener("hashchange", () => state.open && views.some(v => "#" + v[0] === location.hash) && show());
start().then(watch).catch(error => $("main").replaceChildren(failed(error)));
