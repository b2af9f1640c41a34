"use strict";
// A header's button sorts its table; a second press turns the order round.
document.querySelectorAll("th button").forEach((button) => {
  button.addEventListener("click", () => {
    const header = button.closest("th"), body = header.closest("table").tBodies[0];
    const place = [...header.parentNode.children].indexOf(header);
    const down = header.getAttribute("aria-sort") !== "descending";
    header.parentNode.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = (row) => {
      const cell = row.children[place], number = Number(cell.dataset.value);
      return cell.dataset.value !== undefined && cell.dataset.value !== "" && !Number.isNaN(number) ? number : cell.textContent.trim().toLowerCase();
    };
    const order = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (typeof x === "number" && typeof y === "number") return x - y;
      if (typeof x === "number" || typeof y === "number") return typeof x === "number" ? 1 : -1;
      return x.localeCompare(y, "ru");
    };
    [...body.rows].sort((a, b) => (down ? order(b, a) : order(a, b))).forEach((row) => body.append(row));
  });
});
