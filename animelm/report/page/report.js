"use strict";
(() => {
  const source = document.getElementById("answer-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const perPage = 50;
  const element = (id) => document.getElementById(id);
  const fold = (text) => text.normalize("NFKC").toLowerCase();
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

  // What a search looks through, folded once.
  const haystacks = data.rows.map((row) =>
    fold([row.work, row.question, row.expected, ...row.answers.map((cell) => (cell ? cell[0] : ""))].join("\n")));

  const choose = (id, options, chosen) => {
    const select = element(id);
    for (const [value, title] of options) select.add(new Option(title, value, false, value === chosen));
    select.disabled = options.length < 2;
    select.addEventListener("change", show);
    return select;
  };
  const everything = ["", data.texts.all];
  let page = 0;
  let found = [];

  const models = data.models.map((title, index) => [String(index), title]);
  const before = choose("filter-before", models, String(data.pair[0]));
  const after = choose("filter-after", models, String(data.pair[data.pair.length - 1]));
  const outcome = choose("filter-outcome", [everything, ...Object.entries(data.outcomes), ["rivals", data.texts.rivals]], "");
  const set = choose("filter-set", [everything, ...Object.entries(data.sets)], "");
  const relation = choose("filter-relation", [everything, ...Object.entries(data.relations)], "");
  const direction = choose("filter-direction", [everything, ...Object.entries(data.directions)], "");
  const search = element("search");
  const allModels = element("all-models");

  const outcomeOf = (row) => {
    const [one, other] = [row.answers[before.value], row.answers[after.value]];
    if (!one || !other) return "";
    if (other[1]) return one[1] ? "kept" : "gained";
    return one[1] ? "lost" : "never_known";
  };
  const hasOutcome = (row) => {
    if (!outcome.value) return true;
    if (outcome.value === "rivals") return row.answers[after.value]?.[2].length > 0;
    return outcomeOf(row) === outcome.value;
  };

  function show() {
    const wanted = fold(search.value).split(/\s+/).filter(Boolean);
    found = data.rows.filter((row, index) =>
      (!set.value || row.set === set.value) &&
      (!relation.value || row.relation === relation.value) &&
      (!direction.value || row.direction === direction.value) &&
      hasOutcome(row) &&
      wanted.every((word) => haystacks[index].includes(word)));
    page = 0;
    draw();
  }

  function draw() {
    const pages = Math.max(1, Math.ceil(found.length / perPage));
    page = Math.min(Math.max(page, 0), pages - 1);
    const form = data.found[found.length === 1 ? 0 : data.found.length - 1];
    element("found").textContent = fill(form, { n: found.length.toLocaleString() });
    element("page").textContent = fill(data.texts.page, { page: page + 1, pages });
    element("previous").disabled = page === 0;
    element("next").disabled = page >= pages - 1;
    const shown = allModels.checked
      ? data.models.map((_, index) => index)
      : [...new Set([Number(before.value), Number(after.value)])];
    const table = element("answers");
    const head = document.createElement("tr");
    for (const title of [data.texts.question, data.texts.expected, ...shown.map((index) => data.models[index])]) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = title;
      head.append(cell);
    }
    table.tHead.replaceChildren(head);
    table.tBodies[0].replaceChildren(
      ...found.slice(page * perPage, (page + 1) * perPage).map((row) => drawRow(row, shown)));
  }

  function drawRow(row, shown) {
    const line = document.createElement("tr");
    const question = document.createElement("th");
    question.scope = "row";
    question.textContent = row.question;
    const about = document.createElement("span");
    about.className = "about";
    const parts = [data.sets[row.set], data.directions[row.direction], data.relations[row.relation], row.work];
    if (row.work === row.question) parts.pop();
    about.textContent = parts.filter(Boolean).join(" · ");
    question.append(about);
    line.append(question, labelled(data.texts.expected, row.expected));
    for (const index of shown) {
      const cell = labelled(data.models[index], "");
      const answer = row.answers[index];
      if (answer) {
        const sign = document.createElement("span");
        sign.className = "sign " + (answer[1] ? "right" : "wrong");
        sign.textContent = answer[1] ? "○" : "×";
        sign.setAttribute("role", "img");
        sign.setAttribute("aria-label", answer[1] ? data.texts.right : data.texts.wrong);
        cell.append(sign, ...marked(answer[0] || data.nothing, row.expected, answer[2]));
      } else {
        cell.textContent = data.nothing;
      }
      line.append(cell);
    }
    return line;
  }

  function labelled(label, text) {
    const cell = document.createElement("td");
    cell.dataset.label = label;
    cell.textContent = text;
    return cell;
  }

  // The answer with what the accepted one lacks underlined, and rivals boxed. Text stays text.
  function marked(answer, expected, rivals) {
    const signs = [...answer].slice(0, 600);
    const common = inBoth(signs, [...expected].slice(0, 600));
    const boxed = new Array(signs.length).fill(false);
    for (const rival of rivals) {
      const name = [...rival];
      for (let start = 0; start + name.length <= signs.length; start += 1) {
        if (name.every((sign, offset) => signs[start + offset] === sign)) boxed.fill(true, start, start + name.length);
      }
    }
    const nodes = [];
    let start = 0;
    const kind = (index) => (boxed[index] ? "rival" : common[index] ? "" : "differs");
    for (let index = 1; index <= signs.length; index += 1) {
      if (index < signs.length && kind(index) === kind(start)) continue;
      const text = signs.slice(start, index).join("");
      const node = kind(start) ? document.createElement(kind(start) === "rival" ? "span" : "u") : document.createTextNode(text);
      if (kind(start)) node.textContent = text;
      if (kind(start) === "rival") node.className = "rival";
      nodes.push(node);
      start = index;
    }
    return nodes;
  }

  // Which signs of one text are in a longest common subsequence with another.
  function inBoth(one, other) {
    const width = other.length + 1;
    const lengths = new Uint16Array((one.length + 1) * width);
    for (let i = one.length - 1; i >= 0; i -= 1) {
      for (let j = other.length - 1; j >= 0; j -= 1) {
        lengths[i * width + j] = one[i] === other[j]
          ? lengths[(i + 1) * width + j + 1] + 1
          : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
      }
    }
    const found = new Array(one.length).fill(false);
    for (let i = 0, j = 0; i < one.length && j < other.length; ) {
      if (one[i] === other[j]) { found[i] = true; i += 1; j += 1; }
      else if (lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) i += 1;
      else j += 1;
    }
    return found;
  }

  let waiting = 0;
  search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(show, 40); });
  allModels.addEventListener("change", draw);
  element("filters").addEventListener("submit", (event) => { event.preventDefault(); show(); });
  element("previous").addEventListener("click", () => { page -= 1; draw(); });
  element("next").addEventListener("click", () => { page += 1; draw(); });
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName ?? "");
    if (event.key === "/" && !typing) { event.preventDefault(); search.focus(); }
  });
  show();
})();
