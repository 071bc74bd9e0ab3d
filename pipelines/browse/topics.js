// The map of clusters: a drawing, a list, and the documents of a cluster. `page` is what browse.js gives: h, svg, ask, count, share,
// figure, text, failed and documentDetail.

const LINE = 13, LETTER = 6.4;

/** The words of a label in lines of so many letters. */
function wrapped(label, letters) {
  const lines = [];
  for (const word of label.split(" ")) {
    const last = lines.length - 1;
    if (lines.length && lines[last].length + 1 + word.length <= letters) lines[last] += " " + word;
    else lines.push(word.length <= letters ? word : word.slice(0, letters - 1) + "…");
  }
  return lines;
}

export function topics(page) {
  const { h, svg, ask, count, share, figure, text, failed, documentDetail } = page;
  const body = h("div", {}, h("p", { class: "count", role: "status" }, "Learning the topics …"));
  const panel = h("section", { class: "detail", "aria-label": "Details", hidden: true }), split = h("div", { class: "split" }, body, panel);

  function close() { panel.hidden = true; split.classList.remove("open"); body.querySelectorAll("[aria-selected=true]").forEach(r => r.setAttribute("aria-selected", "false")); }
  function into(...parts) { panel.hidden = false; split.classList.add("open"); panel.replaceChildren(...parts); panel.scrollTop = 0; }

  async function one(cluster, name) {
    const inside = h("div", {}, "Looking …");
    into(h("button", { onclick: () => show(cluster) }, "Back to the cluster"), " ", h("button", { onclick: close }, "Close"), inside);
    try { inside.replaceChildren(await documentDetail({ _id: name }, other => one(cluster, other))); } catch (error) { inside.replaceChildren(failed(error)); }
  }

  async function show(cluster) {
    body.querySelectorAll("tr[aria-selected]").forEach(r => r.setAttribute("aria-selected", String(+r.dataset.cluster === cluster.number)));
    const rows = h("div"), more = h("button", { hidden: true }, "Show more");
    let at = 0;
    const next = async () => {
      const found = await ask("members", { cluster: cluster.number, offset: at }, "members");
      at += found.length; more.hidden = found.length < 50;
      rows.append(...found.map(d => h("article", {}, h("p", { class: "id" }, h("button", { class: "plain", onclick: () => one(cluster, d._id) }, d.id), " ",
        h("small", {}, `cosine ${figure(d.cosine)}`)), text(d.text))));
    };
    more.addEventListener("click", () => next().catch(e => rows.append(failed(e))));
    into(h("button", { onclick: close }, "Close"), h("h2", {}, cluster.name, " ", h("bdi", {}, cluster.label)),
      h("p", { class: "dim" }, `${count(cluster.documents)} documents of the sample, the most typical first. Part of: `, h("bdi", {}, cluster.of)), rows, more);
    try { await next(); } catch (error) { rows.replaceChildren(failed(error)); }
  }

  ask("clusters", {}, "clusters").then(found => {
    const [width, height] = found.size, total = found.clusters.reduce((sum, c) => sum + c.documents, 0);
    const drawing = svg("svg", { class: "treemap wide", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, ...found.clusters.map(c => {
      const letters = Math.floor((c.width - 8) / LETTER);
      const lines = letters < 4 ? [] : wrapped(c.label, letters).slice(0, Math.max(0, Math.floor((c.height - 6) / LINE)));
      const box = svg("g", { class: "go" }, svg("title", {}, `${c.name}: ${c.label}, ${share(c.documents, total)}`),
        svg("rect", { class: `s${c.group % 6}`, x: c.x, y: c.y, width: c.width, height: c.height }),
        ...lines.map((line, i) => svg("text", { x: c.x + 4, y: c.y + 14 + LINE * i }, line)));
      box.addEventListener("click", () => show(c));
      return box;
    }));
    const part = found.read < found.shards ? ` ${count(found.read)} of ${count(found.shards)} shards are read, evenly spread.` : "";
    body.replaceChildren(
      h("p", { class: "count", role: "status" }, `${count(found.clusters.length)} clusters of ${count(found.sampled)} documents, drawn by their ids from ${count(found.documents)}.${part}`),
      drawing, h("p", { class: "dim wide" }, "Areas are shares of documents; clusters of one colour are parts of one larger topic."),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Clusters" }, h("table", {},
        h("thead", {}, h("tr", {}, ["words", "share", "documents", "cluster"].map((t, i) => h("th", { scope: "col", class: i ? "n" : "" }, t)))),
        h("tbody", {}, found.clusters.map(c => h("tr", { "aria-selected": "false", "data-cluster": c.number },
          h("td", {}, h("button", { class: "plain", dir: "auto", onclick: () => show(c) }, c.label || c.name)),
          h("td", { class: "n" }, share(c.documents, total)), h("td", { class: "n" }, count(c.documents)), h("td", { class: "n" }, c.name)))))));
  }).catch(error => body.replaceChildren(failed(error)));
  return [split];
}
