"use strict";
// Rows are [id, image, question, hint, options, gold, types, answers, bias, blind, blindly, unit], answers [said, read, why, right under each rule].
// Nothing of theirs is ever parsed as HTML: textContent only.
const DATA = JSON.parse(document.getElementById("rows").textContent);
const PAGE = 12, BESIDE = 4;

function element(tag, text, name) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (name) made.className = name;
  // a long answer scrolls within its box: the keyboard must get there too
  if (tag === "dd" && text.length + 40 * (text.split("\n").length - 1) > 160) made.tabIndex = 0;
  return made;
}

function verdict(row, model, rule) {
  const answer = row[7][model];
  if (answer[1] === null) return "unread";
  return (answer[3] >> rule) & 1 ? "right" : "wrong";
}

function describe(set, row, model) {
  const [said, read, why, bits] = row[7][model];
  const list = document.createDocumentFragment();
  list.append(element("dt", set.models[model] + ":"));
  const right = bits & 1;
  const shown = said === "" ? (read === null ? "(ничего)" : read) : said;
  list.append(element("dd", (right ? "✓ верно: " : read === null ? "? не прочитано: " : "✗ неверно: ") + shown, right ? "good" : "bad"));
  const reasons = [];
  if (why) reasons.push(why);
  if (read !== null && read !== said) reasons.push("прочитано как «" + read + "»");
  const marks = set.rules.map((_, n) => (bits >> n) & 1);
  if (marks.some((mark) => mark !== marks[0])) reasons.push("правила расходятся: " + set.rules.map((rule, n) => rule + (marks[n] ? " ✓" : " ✗")).join(", "));
  if (reasons.length) list.append(element("dd", reasons.join("; "), "faint"));
  return list;
}

// questions about one picture stand beside it; all orders of a question's options are one question
function keyOf(row) { return row[11] || row[1] || row[0]; }

function listed(row) {
  const facts = element("dl"), [, , , , options, gold] = row;
  if (options.length) {
    facts.append(element("dt", "варианты:"));
    options.forEach((option, n) => {
      const letter = "ABCDEFGH"[n];
      facts.append(element("dd", letter + ". " + option + (letter === gold ? " (верный)" : "")));
    });
  } else facts.append(element("dt", "верный ответ:"), element("dd", gold));
  return facts;
}

function asked(set, row) {
  const [id, , question, hint, , , types] = row;
  const made = element("div", undefined, "asked");
  if (hint) made.append(element("p", hint, "faint"));
  made.append(element("p", question));
  const facts = listed(row);
  set.models.forEach((_, model) => facts.append(describe(set, row, model)));
  if (row[9].length) facts.append(element("dt", "вслепую отвечают:"), element("dd", row[9].join(", "), "faint"));
  const bias = row[8] === null ? "" : " · смещение " + row[8].toFixed(2).replace(".", ",");
  made.append(facts, element("p", id + " · " + types.map((n) => set.types[n]).join(", ") + bias, "faint"));
  return made;
}

const MARKS = { right: "✓", wrong: "✗", unread: "?" };

function rotated(set, rows) {
  const first = rows[0], made = element("div", undefined, "asked");
  if (first[3]) made.append(element("p", first[3], "faint"));
  made.append(element("p", first[2]));
  const facts = listed(first);
  set.models.forEach((name, model) => {
    const marks = rows.map((row) => MARKS[verdict(row, model, 0)]);
    const right = marks.filter((mark) => mark === "✓").length;
    facts.append(element("dt", name + ":"));
    facts.append(element("dd", marks.join(" ") + " – верно в " + right + " из " + rows.length + " порядков", right === rows.length ? "good" : "bad"));
    const said = rows.map((row) => row[7][model][0] || (row[7][model][1] === null ? "(ничего)" : row[7][model][1]));
    const why = [...new Set(rows.map((row) => row[7][model][2]).filter(Boolean))];
    facts.append(element("dd", "ответы: " + said.join(" | ") + (why.length ? "; " + why.join("; ") : ""), "faint"));
  });
  made.append(facts, element("p", rows.map((row) => row[0]).join(", ") + " · " + first[6].map((n) => set.types[n]).join(", "), "faint"));
  return made;
}

function card(set, rows) {
  const [, image, question] = rows[0];
  const made = element("article");
  if (set.pictures[image]) {
    const picture = element("img");
    picture.src = "data:image/jpeg;base64," + set.pictures[image];
    picture.alt = "картинка " + image + " к вопросу: " + question;
    picture.loading = "lazy";
    made.append(picture);
  } else if (image) made.append(element("p", "картинка " + image + " в отчёт не вложена", "faint"));
  if (rows[0][11]) made.append(rotated(set, set.units.get(rows[0][11])));
  else {
    rows.slice(0, BESIDE).forEach((row) => made.append(asked(set, row)));
    if (rows.length > BESIDE) {
      const rest = element("button", "ещё вопросов об этой картинке: " + (rows.length - BESIDE));
      rest.type = "button";
      rest.addEventListener("click", () => { rest.replaceWith(...rows.slice(BESIDE).map((row) => asked(set, row))); });
      made.append(rest);
    }
  }
  return made;
}

function browse(box, set) {
  const field = (name) => box.querySelector("[data-field=" + name + "]");
  const cards = box.querySelector(".cards"), more = box.querySelector("button.more"), count = box.querySelector("[aria-live]");
  const type = field("type"), model = field("model"), how = field("how"), words = field("words"), pictured = field("pictured");
  const sight = field("sight"), bias = field("bias");
  const lower = set.rows.map((row) => (row[0] + " " + row[2] + " " + row[4].join(" ") + " " + row[5] + " " + row[7].map((a) => a[0]).join(" ")).toLowerCase());
  set.units = new Map();
  for (const row of set.rows) if (row[11]) set.units.set(row[11], [...(set.units.get(row[11]) || []), row]);
  let found = [], groups = [], shown = 0;

  function fits(row, number) {
    if (type.value !== "" && !row[6].includes(Number(type.value))) return false;
    if (pictured.checked && row[1] && !set.pictures[row[1]]) return false;
    if (sight && sight.value && Boolean(row[10]) !== (sight.value === "blind")) return false;
    if (bias && bias.value !== "" && (row[8] === null || row[8] > Number(bias.value.replace(",", ".")))) return false;
    if (how.value === "differ") {
      const first = row[7][0][3] & 1;
      if (row[7].every((answer) => (answer[3] & 1) === first)) return false;
    } else if (how.value === "notright") {
      if (verdict(row, Number(model.value), 0) === "right") return false;
    } else if (how.value && verdict(row, Number(model.value), 0) !== how.value) return false;
    return lower[number].includes(words.value.trim().toLowerCase());
  }
  function extend() {
    for (const rows of groups.slice(shown, shown + PAGE)) cards.append(card(set, rows));
    shown = Math.min(shown + PAGE, groups.length);
    more.hidden = shown >= groups.length;
    count.textContent = (found.length ? "" : "ничего не нашлось, смените отбор; ") + "найдено строк: " + found.length + " из " + set.rows.length + ", карточек " + groups.length + ", показано " + shown;
  }
  function restart() {
    found = set.rows.filter(fits);
    const together = new Map();
    for (const row of found) {
      const key = keyOf(row);
      if (together.has(key)) together.get(key).push(row); else together.set(key, [row]);
    }
    groups = [...together.values()];
    shown = 0;
    cards.replaceChildren();
    extend();
  }
  let waiting = 0;
  words.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(restart, 150); });
  for (const control of [type, model, how, pictured, sight, bias]) if (control) control.addEventListener("change", restart);
  more.addEventListener("click", extend);
  restart();
}

document.querySelectorAll("[data-browser]").forEach((box) => {
  const set = DATA[Number(box.dataset.browser)];
  if (set) browse(box, set);
});
