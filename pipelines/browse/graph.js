// Lineage as a drawing: columns from what a document is made of to what is made of it. All texts are set as text.

const SVG = "http://www.w3.org/2000/svg", WIDTH = 168, GAP = 64, HIGH = 30, STEP = 42;

function node(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const short = (text, most) => text.length > most ? text.slice(0, most - 1) + "…" : text;

/** The graph of {nodes, edges} as SVG; `go` is called with the id of a document that is clicked. */
export function graph({ nodes, edges }, go) {
  const used = [...new Set(nodes.map(n => n.column))].sort();
  const columns = used.map(c => nodes.filter(n => n.column === c));
  const tall = Math.max(1, ...columns.map(c => c.length)), height = tall * STEP, places = new Map();
  columns.forEach((list, x) => list.forEach((n, y) => places.set(n.id, {
    x: x * (WIDTH + GAP) + 1, y: (height - list.length * STEP) / 2 + y * STEP + (STEP - HIGH) / 2 })));
  const width = columns.length * (WIDTH + GAP) - GAP + 2, drawn = [];
  for (const [a, b, label] of edges) {
    let from = places.get(a), to = places.get(b);
    if (!from || !to) continue;
    const x1 = from.x + WIDTH, y1 = from.y + HIGH / 2, x2 = to.x, y2 = to.y + HIGH / 2, middle = (x1 + x2) / 2;
    drawn.push(node("path", { d: `M${x1},${y1} C${middle},${y1} ${middle},${y2} ${x2},${y2}` }));
    if (label) drawn.push(node("text", { class: "label", "aria-hidden": "true", x: middle, y: (y1 + y2) / 2 - 4, "text-anchor": "middle" }, short(label, 16)));
  }
  for (const n of nodes) {
    const p = places.get(n.id), document_ = "_id" in n && n.kind !== "made";
    const box = node("g", { class: (n.id === "0" ? "me " : "") + (document_ ? "go" : ""), transform: `translate(${p.x},${p.y})` },
      node("title", {}, `${n.kind}: ${n.label}`), node("rect", { width: WIDTH, height: HIGH, rx: 6 }),
      node("text", { x: 8, y: 19, "aria-hidden": "true" }, short(n.label, 22)));
    if (document_) {
      box.setAttribute("tabindex", "0");
      box.setAttribute("role", "link");
      box.setAttribute("aria-label", `${n.kind} ${short(n.label, 22)}`);
      box.addEventListener("click", () => go(n._id));
      box.addEventListener("keydown", e => { if (e.key === "Enter") go(n._id); });
    }
    drawn.push(box);
  }
  const told = nodes.filter(n => n.id !== "0").map(n => `${n.kind} ${n.label}`).join(", ");
  return node("svg", { class: "graph", viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `Lineage: ${told}` }, ...drawn);
}
