// A list of names and values that changes without being drawn again: what a person reads or selects stays.

import { element, replace, setText } from "../base/dom.js";

// Each row is a name, a value, and whether it is a problem; null: not shown.
export function drawRows(list, rows) {
  const wanted = rows.filter(Boolean);
  const key = wanted.map(([name]) => name).join("|");
  if (list.dataset.rows !== key) {
    list.dataset.rows = key;
    replace(list, wanted.map(([name]) => element("div", {}, element("dt", {}, name), element("dd", {}))));
  }
  wanted.forEach(([, value, problem], index) => {
    const cell = list.children[index].lastChild;
    setText(cell, value);
    cell.classList.toggle("problem", Boolean(problem));
  });
}
