for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => row.cells[column].dataset.order ?? row.cells[column].textContent;
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === "\u2013" || y === "\u2013") return (x === "\u2013") - (y === "\u2013");
      const order = x.localeCompare(y, undefined, { numeric: true });
      const [p, q] = [Number(x), Number(y)];
      return (Number.isNaN(p - q) ? order : p - q) * (down ? -1 : 1);
    });
    table.tBodies[0].append(...rows);
  }));
}
