"use strict";
// Everything an image may have named is put into the page as text, never as markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const at = (id) => document.getElementById(id);
  const make = (tag, text, name) => {
    const element = document.createElement(tag);
    if (text !== undefined && text !== null) element.textContent = text;
    if (name) element.className = name;
    return element;
  };

  const size = (count) => {
    const sign = count < 0 ? "−" : "";
    let rest = Math.abs(count);
    if (rest < 1000) return `${sign}${rest} B`;
    for (const unit of ["kB", "MB", "GB", "TB"]) {
      rest /= 1000;
      if (rest < 999.5 || unit === "TB") return `${sign}${rest.toFixed(rest < 9.995 ? 2 : rest < 99.95 ? 1 : 0)} ${unit}`;
    }
  };
  const number = (count) => count.toLocaleString("en");
  const files = (count) => `${number(count)} ${count === 1 ? "file" : "files"}`;

  // What a column is: its heading, its class, and how a row's value is shown in it.
  const table = (columns, rows) => {
    const element = make("table");
    const head = element.createTHead().insertRow();
    for (const [heading, name] of columns) head.append(make("th", heading, name));
    const body = element.createTBody();
    for (const row of rows) {
      const line = body.insertRow();
      for (const [, name, show] of columns) {
        const shown = show(row);
        const cell = make("td", shown instanceof Node ? null : shown, name);
        if (shown instanceof Node) cell.append(shown);
        line.append(cell);
      }
    }
    return element;
  };

  const searchable = (id, rows, columns, options, label) => {
    at(`${id}-section`).hidden = !rows.length;
    if (!rows.length) return;
    const place = at(id);
    const step = 25;
    let limit = step;
    const input = make("input");
    input.type = "search";
    input.placeholder = label;
    input.setAttribute("aria-label", label);
    const select = make("select");
    select.setAttribute("aria-label", "Rule");
    for (const option of ["every rule", ...options]) select.append(make("option", option));
    const count = make("span", "", "quiet");
    count.setAttribute("role", "status");
    const line = make("div", null, "search");
    line.append(input, select, count);
    const body = make("div");
    const more = make("button", "Show more", "more");
    place.append(line, body, more);
    const texts = rows.map((row) => row.join("\n").toLowerCase());
    const show = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      const rule = select.selectedIndex ? select.value : null;
      const found = rows.filter((row, index) =>
        (rule === null || row[1] === rule) && words.every((word) => texts[index].includes(word)));
      count.textContent = `${number(found.length)} of ${number(rows.length)}`;
      body.replaceChildren(table(columns, found.slice(0, limit)));
      more.hidden = found.length <= limit;
    };
    const anew = () => { limit = step; show(); };
    input.addEventListener("input", anew);
    select.addEventListener("change", anew);
    more.addEventListener("click", () => { limit *= 5; show(); });
    show();
  };

  const TONES = { "VERIFIED": "good", "DRY RUN": "warn", "NOT VERIFIED": "bad", "CHECK FAILED": "bad", "GATE FAILED": "bad" };
  const STATUS = { passed: "good", failed: "bad", skipped: "quiet" };

  at("title").textContent = data.title;
  at("subtitle").textContent = data.subtitle;
  at("state").textContent = data.state;
  at("state").className = TONES[data.state] || "quiet";
  at("state").hidden = !data.state;
  at("footer").textContent = `slimmer ${data.version}`;
  for (const [label, count, note] of data.tiles) {
    const tile = make("div");
    tile.append(make("span", label), make("b", size(count)), make("span", note));
    at("tiles").append(tile);
  }
  for (const [name, text] of data.facts) at("facts").append(make("dt", name), make("dd", text));

  for (const { title, heading, rows, note } of data.tables) {
    if (!rows.length) continue;
    const card = make("div");
    const most = Math.max(...rows.map((row) => row[1]), 1);
    const meter = (row) => {
      const shown = document.createDocumentFragment();
      const bar = make("span", null, "meter");
      bar.style.width = `${100 * Math.max(row[1], 0) / most}%`;
      shown.append(row[0], bar);
      return shown;
    };
    const columns = [[heading, heading === "file" ? "path" : "", meter], ["size", "number", (row) => size(row[1])]];
    if (rows[0].length > 2) columns.push(["files", "number wide", (row) => number(row[2])]);
    const body = make("div", null, "rows");
    const more = make("button", `Show all ${number(rows.length)}`, "more");
    more.hidden = rows.length <= 15;
    more.addEventListener("click", () => { body.replaceChildren(table(columns, rows)); more.hidden = true; });
    body.append(table(columns, rows.slice(0, 15)));
    card.append(make("h2", title), body, more);
    if (note) card.append(make("p", note, "hint"));
    at("tables").append(card);
  }

  at("rules-section").hidden = !data.rules.length;
  const most = Math.max(...data.rules.map((rule) => rule[2]), 1);
  at("rules").append(table([
    ["rule", "", (row) => {
      const shown = document.createDocumentFragment();
      const bar = make("span", null, "meter");
      bar.style.width = `${100 * Math.max(row[2], 0) / most}%`;
      shown.append(row[0] === "flatten" && row[1] === null ? "flatten: files that later layers hide or hold again" : row[0], bar);
      return shown;
    }],
    ["saved", "number", (row) => size(row[2])],
    ["files", "number", (row) => row[1] === null ? "" : number(row[1])],
  ], data.rules));

  at("gates-section").hidden = !data.gates.length;
  for (const [wish, passed, actual] of data.gates) {
    const item = make("li");
    item.append(make("b", passed ? "passed" : "failed", passed ? "good" : "bad"), ` ${wish}: ${size(actual)}`);
    at("gates").append(item);
  }

  at("checks-section").hidden = !data.checks.length;
  for (const [name, status, seconds, reason, original, slimmed] of data.checks) {
    const item = make("details");
    const head = make("summary");
    head.append(make("b", name), make("span", status, STATUS[status] || ""), make("span", `${seconds}  ${reason}`, "quiet"));
    const outputs = make("div", null, "outputs");
    for (const [label, text] of [["original", original], ["slimmed", slimmed]]) {
      const side = make("div");
      side.append(make("h3", label), make("pre", text || "(nothing)"));
      outputs.append(side);
    }
    item.append(head, outputs);
    item.open = status === "failed";
    at("checks").append(item);
  }

  const rules = (rows) => [...new Set(rows.map((row) => row[1]))].sort();
  searchable("changes", data.changes, [
    ["path", "path", (row) => row[0]], ["rule", "word wide", (row) => row[1]], ["what", "word wide", (row) => row[2]],
    ["saved", "number", (row) => size(row[3])], ["files", "number wide", (row) => number(row[4])],
    ["how", "quiet wide", (row) => row[5]],
  ], rules(data.changes), "Search changes: path, rule, how");
  searchable("kept", data.kept, [
    ["path", "path", (row) => row[2] > 1 ? `${row[0]} (${number(row[2])} paths)` : row[0]],
    ["rule", "word wide", (row) => row[1]], ["why", "quiet", (row) => row[3]],
  ], rules(data.kept), "Search kept files: path, rule, reason");

  // The treemap. Before and after are drawn to the same scale of colour: what goes, what shrinks, what stays.
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const HUES = [210, 32, 150, 280, 350, 95, 185, 250, 60, 320];
  const mixed = (from, to, share) => {
    const parts = [from, to].map((hex) => [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16)));
    return `rgb(${parts[0].map((one, index) => Math.round(one + share * (parts[1][index] - one))).join(",")})`;
  };
  const colour = ([, before, after], hue) => {
    if (!data.compare) return `hsl(${hue},${dark.matches ? "28%,34%" : "42%,74%"})`;
    // The root, so that a directory of which a hundredth goes does not look like one of which nothing does.
    const gone = before > after ? Math.sqrt(1 - after / before) : 0;
    return gone < 0.5 ? mixed(style("--same"), style("--part"), 2 * gone) : mixed(style("--part"), style("--whole"), 2 * gone - 1);
  };
  let mode = "before";
  const chart = echarts.init(at("map"), null, { renderer: "canvas" });
  const value = (node) => (mode === "before" ? node[1] : node[2]);
  const branch = (node, hue, path) => ({
    name: node[0], value: value(node), facts: node, path,
    itemStyle: { color: colour(node, hue) },
    children: node[4].filter((child) => value(child) > 0)
      .map((child, index) => branch(child, path === "/" ? HUES[index % HUES.length] : hue, `${path === "/" ? "" : path}/${child[0]}`)),
  });
  const tip = ({ data: { facts: [, before, after, count], path } }) => {
    const element = make("div", null, "tip");
    element.append(make("b", path));
    const gone = before - after;
    element.append(data.compare && gone
      ? `${size(before)} → ${size(after)}, ${size(gone)} saved; ${files(count)}`
      : `${size(before)}; ${files(count)}`);
    return element;
  };
  const draw = () => {
    const text = style("--text");
    chart.setOption({
      tooltip: { formatter: (item) => (item.data && item.data.facts ? tip(item) : ""), confine: true,
        backgroundColor: style("--card"), borderColor: style("--line"), textStyle: { color: text } },
      series: [{
        type: "treemap", data: branch(data.tree, HUES[0], "/").children, name: "/", leafDepth: at("map").clientWidth < 600 ? 3 : 4, roam: false,
        left: 0, right: 0, top: 0, bottom: 30, animationDurationUpdate: 300, nodeClick: "zoomToNode", visibleMin: 60,
        breadcrumb: { left: 0, bottom: 0, height: 24, itemStyle: { color: style("--page"), borderColor: style("--line"),
          textStyle: { color: text } }, emphasis: { itemStyle: { color: style("--line"), textStyle: { color: text } } } },
        label: { color: style("--on-map"), overflow: "truncate", formatter: (item) => `${item.name}\n${size(item.value)}`,
          lineHeight: 16 },
        upperLabel: { show: true, height: 22, color: text, formatter: (item) => `${item.name}  ${size(item.value)}` },
        itemStyle: { gapWidth: 1, borderWidth: 1, borderColor: style("--card") },
        levels: [
          { itemStyle: { gapWidth: 3, borderWidth: 0, borderColor: style("--card") }, upperLabel: { show: false } },
          { itemStyle: { gapWidth: 2, borderWidth: 2, borderColor: style("--line") } },
          { itemStyle: { gapWidth: 1, borderWidth: 2, borderColor: style("--line") } },
          { itemStyle: { gapWidth: 1, borderWidth: 1, borderColor: style("--line") } },
        ],
      }],
    }, true);
  };
  if (data.compare) {
    for (const name of ["before", "after"]) {
      const button = make("button", name[0].toUpperCase() + name.slice(1));
      button.setAttribute("aria-pressed", String(name === mode));
      button.addEventListener("click", () => {
        mode = name;
        for (const other of at("modes").children) other.setAttribute("aria-pressed", String(other === button));
        draw();
      });
      at("modes").append(button);
    }
    for (const [name, text] of [["--whole", "goes"], ["--part", "shrinks"], ["--same", "stays"]]) {
      const item = make("span");
      const mark = make("i");
      mark.style.background = `var(${name})`;
      item.append(mark, text);
      at("legend").append(item);
    }
  }
  draw();
  dark.addEventListener("change", draw);
  new ResizeObserver(() => chart.resize()).observe(at("map"));
  window.slimmerChart = chart;
})();
