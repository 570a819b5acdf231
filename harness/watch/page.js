"use strict";
// Asks for the sweep's state every two seconds while somebody looks, and changes what has changed: nothing is made anew that
// stands already, so that nothing flickers and a selection or a place in a table stays.
const SECONDS = 2, PATIENCE = 120; // a large record is read at first; a server that is gone is known at once
const at = (id) => document.getElementById(id);
const put = (node, text) => { if (node.textContent !== text) node.textContent = text; };
const show = (node, shown) => { if (node.hidden === shown) node.hidden = !shown; };
const made = (tag, parent, properties) => parent.appendChild(Object.assign(document.createElement(tag), properties));

function duration(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  const hours = Math.floor(whole / 3600);
  if (hours < 48) return `${hours} h ${String(Math.floor(whole % 3600 / 60)).padStart(2, "0")} min`;
  return `${Math.floor(hours / 24)} days ${hours % 24} h`;
}
const count = (number) => number.toLocaleString("en").replaceAll(",", "\u202f");
const of = (done, planned) => done <= planned ? `${count(done)} of ${count(planned)}` : count(done); // an estimate that was passed
const rate = (perSecond) => perSecond >= 1 || perSecond === 0 ? `${perSecond.toFixed(1)} a second` : `${(60 * perSecond).toFixed(1)} a minute`;
const value = (number) => number === null ? "–" : String(Number(number.toPrecision(5))).replace("-", "−");
const some = (parts) => parts.filter(([number]) => number).map(([number, word]) => `${count(number)} ${word}`).join(", ");
const ending = (seconds) => new Date(Date.now() + 1000 * seconds).toLocaleString([], { weekday: "short", hour: "2-digit", minute: "2-digit" });

const PHASES = {
  waiting: "not begun", starting: "starting", running: "running", silent: "silent", elsewhere: "not running",
  stopped: "no driver", ended: "ended", done: "done", damaged: "cannot be read",
};

// The numbers at the top: [label, value, more, whether it is bad].
function numbers(view) {
  const { recorded, snapshot } = view, live = ["running", "silent"].includes(view.phase);
  const found = [];
  if (recorded) {
    const { done, running, failed, missing } = recorded.states;
    const rest = some([[running, "under way"], [failed, "failed"], [missing, "not begun"]]);
    found.push(["studies done", of(done, done + running + failed + missing), rest, false]);
    const told = live && snapshot ? Math.max(snapshot.evaluations_told, recorded.evaluations) : recorded.evaluations;
    found.push(["evaluations", of(told, recorded.evaluations_planned), "", false]);
    const bad = Object.entries(recorded.statuses).filter(([status]) => status !== "ok");
    const sum = bad.reduce((total, [, number]) => total + number, 0);
    if (sum) found.push(["failed evaluations", count(sum), some(bad.map(([status, number]) => [number, status])), true]);
  }
  if (snapshot && (live || view.reevaluate) && snapshot.reevaluations) {
    found.push(["winners evaluated again", of(snapshot.reevaluated, snapshot.reevaluations), "", false]);
  }
  if (snapshot && live) {
    found.push(["rate, last minute", rate(snapshot.per_second), "", false]);
    const left = snapshot.remaining;
    found.push(["time left, about", left === null ? "–" : duration(left), left === null ? "no pace yet" : `until ${ending(left)}`, false]);
    const { busy, idle, starting, lost } = snapshot.evaluators;
    if (busy + idle + starting + lost) {
      found.push(["evaluators", `${count(busy)} busy`, some([[idle, "idle"], [starting, "starting"], [lost, "lost"]]), false]);
    }
    if (snapshot.missing.length) found.push(["missing machines", count(snapshot.missing.length), snapshot.missing.join(", "), true]);
    if (snapshot.waiting) found.push(["waiting for an evaluator", count(snapshot.waiting), "", false]);
  }
  if (snapshot) {
    const which = live ? "this run" : "last run";
    found.push([`trained, ${which}`, count(snapshot.trained),
      some([[snapshot.reused, "reused"], [snapshot.merged, "merged"], [snapshot.retried, "retried"]]), false]);
    found.push([`training, ${which}`, duration(snapshot.train_seconds), `searching ${duration(snapshot.search_seconds)}`, false]);
  }
  if (recorded && recorded.machines > 1) found.push(["kinds of machine", count(recorded.machines), "see derby status", false]);
  return found;
}

function drawNumbers(view) {
  const list = at("numbers"), found = numbers(view);
  const labels = found.map(([label]) => label).join("\n");
  if (list.dataset.labels !== labels) {
    list.replaceChildren();
    for (const [label] of found) {
      const box = made("div", list);
      made("dt", box, { textContent: label });
      const dd = made("dd", box);
      made("span", dd);
      made("small", dd);
    }
    list.dataset.labels = labels;
  }
  found.forEach(([, text, more, bad], place) => {
    const box = list.children[place], [main, small] = box.children[1].children;
    put(main, text);
    put(small, more);
    box.className = bad ? "bad" : "";
  });
}

function drawFailures(recorded) {
  const section = at("failures"), failures = recorded ? recorded.failures : [];
  show(section, failures.length > 0);
  const list = section.querySelector("ul");
  while (list.children.length > failures.length) list.lastChild.remove();
  failures.forEach(({ study, reason }, place) => {
    let item = list.children[place];
    if (!item) {
      item = made("li", list);
      made("b", item);
      item.append(": ");
      made("span", item);
    }
    put(item.children[0], study);
    put(item.children[1], reason);
  });
  const more = recorded ? recorded.failures_in_all - failures.length : 0, words = section.querySelector(".more");
  show(words, more > 0);
  put(words, `and ${count(Math.max(more, 0))} more: derby status names all`);
}

const HEADINGS = ["method", "best", "mean", "evaluations", "studies done"];

function drawTasks(recorded) {
  const section = at("tasks"), place = section.querySelector(".tables");
  show(section, Boolean(recorded));
  if (!recorded) return;
  const key = JSON.stringify(recorded.tasks.map(({ task, rows }) => [task, rows.map((row) => row.searcher)]));
  if (place.dataset.key !== key) {
    place.replaceChildren();
    for (const { task, metric, direction, rows } of recorded.tasks) {
      const heading = made("h3", place, { textContent: `${task} ` });
      made("small", heading, { textContent: `${metric}, ${direction === "min" ? "lower" : "higher"} is better` });
      const scroll = made("div", place, { className: "scroll", tabIndex: 0 });
      scroll.setAttribute("role", "region");
      scroll.setAttribute("aria-label", task);
      const table = made("table", scroll), head = made("tr", made("thead", table));
      HEADINGS.forEach((text) => made("th", head, { textContent: text, scope: "col" }));
      const body = made("tbody", table);
      for (const row of rows) {
        const line = made("tr", body);
        made("th", line, { textContent: row.searcher, scope: "row" });
        HEADINGS.slice(1).forEach(() => made("td", line));
      }
    }
    place.dataset.key = key;
  }
  const tables = place.querySelectorAll("tbody");
  recorded.tasks.forEach(({ rows, direction }, number) => {
    const values = rows.filter((row) => !row.baseline).map((row) => row.best).filter((best) => best !== null);
    const leader = values.length ? Math[direction](...values) : null;
    rows.forEach((row, index) => {
      const cells = tables[number].rows[index].cells, planned = row.done + row.running + row.failed + row.missing;
      const evaluations = row.failed_evaluations ? `${count(row.evaluations)} (${count(row.failed_evaluations)} failed)` : count(row.evaluations);
      const studies = [of(row.done, planned), some([[row.running, "under way"], [row.failed, "failed"]])].filter(Boolean).join(", ");
      [value(row.best), row.mean === null ? "–" : `${value(row.mean)} (${row.studies})`, evaluations, studies]
        .forEach((text, column) => put(cells[column + 1], text));
      cells[1].className = leader !== null && !row.baseline && row.best === leader ? "best" : "";
      cells[4].className = row.failed ? "failed" : "";
    });
  });
}

let drawnNumber = 0;
function drawFigures(figures) {
  const section = at("figures"), place = section.querySelector(".plots");
  show(section, figures.state !== "off");
  const parts = [];
  if (figures.number) parts.push(`Drawn ${duration(figures.age)} ago, of the studies done by then.`);
  else if (figures.state !== "drawing") parts.push("Drawn once a study is done.");
  if (figures.state === "drawing") parts.push("New ones are being drawn.");
  if (figures.problem) parts.push(`Last time they could not be drawn: ${figures.problem}.`);
  put(at("drawn"), parts.join(" "));
  if (figures.number === drawnNumber) return;
  drawnNumber = figures.number;
  if (!section.querySelector(".whole")) {
    const whole = made("p", section, { className: "whole" });
    made("a", whole, { href: "report/report.html", textContent: "The whole report so far", target: "_blank", rel: "noopener" });
  }
  while (place.children.length > figures.items.length) place.lastChild.remove();
  figures.items.forEach(({ stem, words }, index) => {
    let figure = place.children[index];
    if (!figure) {
      figure = made("figure", place);
      made("img", made("a", figure, { target: "_blank", rel: "noopener" }), { alt: "" });
      made("figcaption", figure);
    }
    const [link, caption] = figure.children, image = link.firstElementChild, fresh = new Image();
    fresh.src = `report/figures/${encodeURIComponent(stem)}.png?${figures.number}`;
    // Put in its place once it is there whole.
    fresh.decode().then(() => {
      image.src = link.href = fresh.src;
      figure.classList.toggle("wide", fresh.naturalWidth > 1.8 * fresh.naturalHeight);
    }, () => { drawnNumber = 0; });
    image.alt = `${words} The report says it in numbers.`;
    put(caption, words);
  });
}

function draw({ view, figures }) {
  document.body.dataset.phase = view.phase;
  put(at("name"), view.name);
  put(at("phase"), PHASES[view.phase]);
  at("phase").className = `phase ${view.phase}`;
  put(at("words"), view.words);
  const { recorded, snapshot } = view, bar = at("bar");
  show(bar, Boolean(recorded));
  let share = 0;
  if (recorded) {
    const told = Math.max(recorded.evaluations, view.phase === "running" && snapshot ? snapshot.evaluations_told : 0);
    share = view.phase === "done" ? 1 : Math.min(told / Math.max(recorded.evaluations_planned, 1), 1);
    bar.firstElementChild.style.width = `${100 * share}%`;
    bar.setAttribute("aria-valuenow", String(Math.floor(100 * share)));
  }
  document.title = `${recorded ? `${Math.floor(100 * share)} % ` : ""}${view.name}: ${PHASES[view.phase]}`;
  drawNumbers(view);
  drawFailures(recorded);
  drawTasks(recorded);
  drawFigures(figures);
  put(at("source"), `Read from ${view.results} at ${new Date().toLocaleTimeString()}. Nothing on this page changes the sweep.`);
}

let timer = null;
async function ask() {
  clearTimeout(timer);
  let pause = SECONDS;
  try {
    const answer = await fetch("state.json", { cache: "no-store", signal: AbortSignal.timeout(1000 * PATIENCE) });
    if (!answer.ok) throw new Error(answer.statusText);
    const state = await answer.json();
    show(at("lost"), false);
    document.body.classList.remove("stale");
    draw(state);
  } catch {
    pause = 2 * SECONDS;
    show(at("lost"), true);
    document.body.classList.add("stale");
  }
  if (!document.hidden) timer = setTimeout(ask, 1000 * pause);
}
document.addEventListener("visibilitychange", () => { if (document.hidden) clearTimeout(timer); else ask(); });
ask();
