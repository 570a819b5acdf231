"use strict";
// Filters the answers, which are all in the page: one race, budget and kind of problem, and what can be afforded.
{
  const form = document.getElementById("chooser");
  const status = document.getElementById("status");
  const field = (name) => document.getElementById(name);
  const each = (selector, of, wanted) => {
    for (const part of document.querySelectorAll(selector)) part.hidden = wanted !== null && part.dataset[of] !== wanted;
  };
  const show = () => {
    const [race, point, selection] = ["race", "point", "selection"].map((name) => field(name).value);
    const when = `${field("fidelity").value}:${field("limit").value}`;
    each(".race", "race", race);
    each(".budget", "point", point);
    each(".choices", "selection", selection);
    for (const item of document.querySelectorAll(".item")) item.hidden = !item.dataset.when.split(" ").includes(when);
    for (const part of document.querySelectorAll(".choices")) part.open = true;
    for (const part of document.querySelectorAll(".none")) part.hidden = true;
    field("contents").hidden = true;
    const found = [...document.querySelectorAll(".item")].filter((item) => !item.closest("[hidden]"));
    const words = (name) => field(name).selectedOptions[0].textContent;
    status.textContent = found.length
      ? `On ${words("selection")}, after ${words("point")}; a training ${words("fidelity")}; ${words("limit")}:`
      : `No answer: this race has nothing on ${words("selection")} after ${words("point")}.`;
  };
  const all = () => {
    for (const part of document.querySelectorAll(".race, .budget, .choices, .item, .none")) part.hidden = false;
    for (const part of document.querySelectorAll(".choices")) part.open = false;
    field("contents").hidden = false;
    status.textContent = "All answers:";
  };
  const linked = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const item = target && target.closest(".item");
    if (!item) return false;
    const [fidelity, limit] = item.dataset.when.split(" ")[0].split(":");
    const chosen = {
      race: item.closest(".race").dataset.race, point: item.closest(".budget").dataset.point,
      selection: item.closest(".choices").dataset.selection, fidelity, limit,
    };
    for (const [name, value] of Object.entries(chosen)) field(name).value = value;
    show();
    item.scrollIntoView();
    return true;
  };
  form.hidden = false;
  form.addEventListener("change", show);
  field("every").addEventListener("click", all);
  addEventListener("hashchange", linked);
  if (!linked()) show();
}
