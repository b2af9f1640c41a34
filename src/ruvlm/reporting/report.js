"use strict";
// Rows are [id, image, question, hint, options, gold, types, answers, bias, blind, blindly], answers [said, read, why, right under each rule].
// Nothing of theirs is ever parsed as HTML: textContent only.
const DATA = JSON.parse(document.getElementById("rows").textContent);
const PAGE = 24;

function element(tag, text, name) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (name) made.className = name;
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

function card(set, row) {
  const [id, image, question, hint, options, gold, types] = row;
  const made = element("article");
  if (set.pictures[image]) {
    const picture = element("img");
    picture.src = "data:image/jpeg;base64," + set.pictures[image];
    picture.alt = "картинка " + image + " к вопросу: " + question;
    picture.loading = "lazy";
    made.append(picture);
  } else if (image) made.append(element("p", "картинка " + image + " в отчёт не вложена", "faint"));
  if (hint) made.append(element("p", hint, "faint"));
  made.append(element("p", question));
  const facts = element("dl");
  if (options.length) {
    facts.append(element("dt", "варианты:"));
    options.forEach((option, n) => {
      const letter = "ABCDEFGH"[n];
      facts.append(element("dd", letter + ". " + option + (letter === gold ? " (верный)" : "")));
    });
  } else facts.append(element("dt", "верный ответ:"), element("dd", gold));
  set.models.forEach((_, model) => facts.append(describe(set, row, model)));
  if (row[9].length) facts.append(element("dt", "вслепую отвечают:"), element("dd", row[9].join(", "), "faint"));
  const bias = row[8] === null ? "" : " · смещение " + row[8].toFixed(2).replace(".", ",");
  made.append(facts, element("p", id + " · " + types.map((n) => set.types[n]).join(", ") + bias, "faint"));
  return made;
}

function browse(box, set) {
  const field = (name) => box.querySelector("[data-field=" + name + "]");
  const cards = box.querySelector(".cards"), more = box.querySelector("button"), count = box.querySelector("[aria-live]");
  const type = field("type"), model = field("model"), how = field("how"), words = field("words"), pictured = field("pictured");
  const sight = field("sight"), bias = field("bias");
  const lower = set.rows.map((row) => (row[0] + " " + row[2] + " " + row[4].join(" ") + " " + row[5] + " " + row[7].map((a) => a[0]).join(" ")).toLowerCase());
  let found = [], shown = 0;

  function fits(row, number) {
    if (type.value !== "" && !row[6].includes(Number(type.value))) return false;
    if (pictured.checked && row[1] && !set.pictures[row[1]]) return false;
    if (sight && sight.value && Boolean(row[10]) !== (sight.value === "blind")) return false;
    if (bias && bias.value !== "" && (row[8] === null || row[8] > Number(bias.value.replace(",", ".")))) return false;
    if (how.value === "differ") {
      const first = row[7][0][3] & 1;
      if (row[7].every((answer) => (answer[3] & 1) === first)) return false;
    } else if (how.value && verdict(row, Number(model.value), 0) !== how.value) return false;
    return lower[number].includes(words.value.trim().toLowerCase());
  }
  function extend() {
    for (const row of found.slice(shown, shown + PAGE)) cards.append(card(set, row));
    shown = Math.min(shown + PAGE, found.length);
    more.hidden = shown >= found.length;
    count.textContent = "найдено вопросов: " + found.length + " из " + set.rows.length + ", показано " + shown;
  }
  function restart() {
    found = set.rows.filter(fits);
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
