"use strict";
// Sortable tables: every heading of a table.sortable becomes a button; cells may say what they sort by.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const value = (row) => {
        const cell = row.cells[column];
        const text = cell.dataset.sort !== undefined ? cell.dataset.sort : cell.textContent.trim();
        const number = Number(text.replace("−", "-"));
        return text === "" || text === "–" ? null : Number.isNaN(number) ? text : number;
      };
      const rows = [...table.tBodies[0].rows].map((row) => [value(row), row]);
      rows.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null); // what is missing stays last
        const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
        return up ? order : -order;
      });
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
  });
}

// Values under the pointer, or under the arrow keys, of figures with step curves.
const plain = (value) => (value === null ? "–" : String(value).replace("-", "−"));
for (const plot of document.querySelectorAll(".plot[data-values]")) {
  let panels = null; // parsed when first needed
  const rule = plot.querySelector(".rule");
  const output = plot.parentElement.querySelector(".values");
  let at = { panel: 0, index: -1 };
  const load = () => (panels ??= JSON.parse(document.getElementById(plot.dataset.values).textContent));
  const share = (panel, cost) => {
    const scale = panel.log ? Math.log : (x) => x;
    const [low, high] = panel.limits.map(scale);
    return panel.box[0] + ((scale(cost) - low) / (high - low)) * (panel.box[2] - panel.box[0]);
  };
  const show = () => {
    const panel = panels[at.panel];
    const cost = panel.cost[at.index];
    rule.style.left = `${100 * share(panel, cost)}%`;
    rule.style.top = `${100 * panel.box[1]}%`;
    rule.style.height = `${100 * (panel.box[3] - panel.box[1])}%`;
    rule.hidden = false;
    output.replaceChildren();
    const head = document.createElement("strong");
    head.textContent = `${panel.label}: ${plain(cost)}`;
    output.append(head);
    for (const curve of panel.series) {
      const item = document.createElement("span");
      const mark = document.createElement("i");
      mark.style.background = curve.color;
      const ends = curve.low && curve.low[at.index] !== null
        ? ` [${plain(curve.low[at.index])}, ${plain(curve.high[at.index])}]` : "";
      item.append(mark, `${curve.name} ${plain(curve.value[at.index])}${ends}`);
      output.append(item);
    }
  };
  const follow = (event) => {
    load();
    const frame = plot.getBoundingClientRect();
    const x = (event.clientX - frame.left) / frame.width;
    let panel = panels.findIndex((p) => x >= p.box[0] - 0.01 && x <= p.box[2] + 0.01);
    if (panel < 0) return;
    const shares = panels[panel].cost.map((cost) => share(panels[panel], cost));
    let index = 0;
    while (index + 1 < shares.length && shares[index + 1] <= x + 0.002) index += 1;
    at = { panel, index };
    show();
  };
  plot.addEventListener("pointermove", follow);
  plot.addEventListener("pointerdown", follow);
  plot.addEventListener("pointerleave", () => { if (document.activeElement !== plot) rule.hidden = true; });
  plot.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const turn = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined && turn === undefined) return;
    load();
    if (turn) at.panel = (at.panel + turn + panels.length) % panels.length;
    const last = panels[at.panel].cost.length - 1;
    at.index = Math.min(Math.max(at.index + (step ?? 0), 0), last);
    event.preventDefault();
    show();
  });
}

// A link to something folded away opens what folds it.
const unfold = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
  if (target) target.scrollIntoView();
};
addEventListener("hashchange", unfold);
unfold();
