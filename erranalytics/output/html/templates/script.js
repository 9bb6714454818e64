"use strict";
// Heads of columns become buttons here, so that a page without script has none that do nothing.
(() => {
  const collator = new Intl.Collator("en", { numeric: true });

  const read = (body, at, type) => {
    const cell = body.rows[0].cells[at];
    const value = "value" in cell.dataset ? JSON.parse(cell.dataset.value) : cell.textContent;
    if (value === null || type === "number") return value;
    return type === "time" ? Date.parse(value) : cell.textContent;
  };

  const sort = (table, head, at) => {
    const type = head.dataset.type;
    const before = head.getAttribute("aria-sort");
    const down = before ? before === "ascending" : type !== "text";
    const rows = Array.from(table.tBodies, (body) => ({ body, value: read(body, at, type) }));
    rows.sort((a, b) => {
      // What has no value comes last, whichever way.
      if (a.value === null || b.value === null) return (a.value === null) - (b.value === null);
      const order = type === "text" ? collator.compare(a.value, b.value) : a.value - b.value;
      return down ? -order : order;
    });
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    table.append(...rows.map((row) => row.body));
  };

  for (const table of document.querySelectorAll("table")) {
    if (table.tBodies.length < 2) continue;
    Array.from(table.tHead.rows[0].cells, (head, at) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, head, at));
      head.append(button);
    });
  }
})();
