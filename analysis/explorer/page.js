/* The page: its state, in the address too; what shows it; keys and files. */

const TICKS = 100;
const VIEWS = {
  weights: "weights",
  class: "vs class mean",
  all: "vs overall mean",
  other: "vs another image",
};
const THEMES = ["auto", "light", "dark"];
const UNUSUAL = 12;
const APART = 5;

const DEFAULTS = {
  sample: null, tau: 0, view: "weights", other: null,
  find: "", label: null, outcome: "any", sort: "number", theme: "auto",
};
const state = { ...DEFAULTS };
let shown = SAMPLES;

const heaviest = Math.max(...NETWORKS.map((network) => network.heaviest));
const highest = Math.max(TICKS, Math.ceil(TICKS * heaviest));
const tau = () => state.tau / TICKS;
const number = (sample) => DATA.numbers[sample];
const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const percent = (share) => `${(100 * share).toFixed(1)} %`;

/* The address. */

function written() {
  const parameters = new URLSearchParams();
  if (state.sample !== null) parameters.set("image", number(state.sample));
  if (state.tau) parameters.set("tau", String(tau()));
  if (state.other !== null) parameters.set("with", number(state.other));
  if (state.label !== null) parameters.set("class", state.label);
  for (const key of ["view", "outcome", "sort", "find", "theme"]) {
    if (state[key] !== DEFAULTS[key]) parameters.set(key, state[key]);
  }
  return `#${parameters}`;
}

/** Reads the state from an address; what it does not know is as by default. */
function read(hash) {
  const parameters = new URLSearchParams(hash.replace(/^#/, ""));
  const place = (key) => PLACES.get(Number(parameters.get(key) ?? NaN)) ?? null;
  const among = (key, known) => (Object.hasOwn(known, parameters.get(key) ?? "") ? parameters.get(key) : DEFAULTS[key]);
  const label = Number(parameters.get("class") ?? NaN);
  Object.assign(state, {
    sample: place("image"),
    tau: clamped(Math.round(TICKS * Number(parameters.get("tau")))),
    view: among("view", VIEWS),
    other: place("with"),
    find: parameters.get("find") ?? "",
    label: Number.isInteger(label) && label in DATA.classes ? label : null,
    outcome: among("outcome", OUTCOMES),
    sort: among("sort", SORTS),
    theme: THEMES.includes(parameters.get("theme")) ? parameters.get("theme") : "auto",
  });
  shown = chosen(state);
  state.sample ??= shown[0] ?? 0;
  findOther();
}

const clamped = (ticks) => Math.max(0, Math.min(highest, ticks || 0));

/* Changing the state. */

/**
 * Changes the state and shows it.
 *
 * What was chosen is a step of the browser's history, to go back to; what is swept over,
 * with a slider or by keys, is not.
 */
function change(changes, { step = false } = {}) {
  const before = written();
  Object.assign(state, changes);
  findOther();
  const filters = ["find", "label", "outcome", "sort"];
  if (filters.some((key) => key in changes)) {
    shown = chosen(state);
    if (shown.length && !shown.includes(state.sample)) state.sample = shown[0];
    showGrid();
  }
  show();
  const now = written();
  if (now === before) return;
  if (step) history.pushState(null, "", now);
  else history.replaceState(null, "", now);
}

/** Takes another image where one is to be compared with and none is pinned. */
function findOther() {
  if (state.view !== "other") return;
  state.other ??= shown.find((sample) => sample !== state.sample) ?? state.sample;
}

const pick = (sample) => change({ sample }, { step: true });

/** Goes so many images on in the list; from one that is not in it, to the first. */
function go(steps) {
  const place = shown.indexOf(state.sample);
  const next = place < 0 ? 0 : Math.max(0, Math.min(shown.length - 1, place + steps));
  if (shown.length) change({ sample: shown[next] });
}

/* Showing it. */

const PICTURES = NETWORKS.map((network) =>
  network.stages.map((_, place) => new Picture(network, place)),
);

function showGrid() {
  fillGrid(shown);
  $("nothing").hidden = shown.length > 0;
  $("found").textContent =
    shown.length === SAMPLES.length
      ? whole.format(SAMPLES.length)
      : `${whole.format(shown.length)} of ${whole.format(SAMPLES.length)}`;
  $("find").value = state.find;
  $("class").value = state.label ?? "";
  $("outcome").value = state.outcome;
  $("sort").value = state.sort;
}

/** Returns what a sample's weights are compared with, by stage; null for nothing. */
function reference(stage) {
  if (state.view === "class") return stage.classMeans[DATA.labels[state.sample]];
  if (state.view === "all") return stage.mean;
  if (state.view === "other") return stage.row(state.other);
  return null;
}

/** Returns the largest number that pictures show, of which colours are shares. */
function largest() {
  if (state.view === "weights") return heaviest;
  let most = 0;
  for (const { stages } of NETWORKS) {
    for (const stage of stages) {
      const base = reference(stage);
      stage.row(state.sample).forEach((weight, edge) => {
        if (!stage.constant[edge]) most = Math.max(most, Math.abs(weight - base[edge]));
      });
    }
  }
  return most;
}

/** Returns what the numbers in the pictures are. */
function meaning() {
  if (state.view === "weights") return "weight";
  if (state.view === "other") return `difference from image #${number(state.other)}`;
  return `difference from ${VIEWS[state.view].replace("vs ", "")}`;
}

function show() {
  const { sample } = state;
  const scale = largest();
  const closed = NETWORKS.map((network) => network.closed(sample, tau()));
  NETWORKS.forEach((network, place) =>
    network.stages.forEach((stage, k) => {
      const lines = [
        ["weight", stage.row(sample)],
        [`mean of ${className(DATA.labels[sample])}`, stage.classMeans[DATA.labels[sample]]],
        ["mean of all", stage.mean],
      ];
      if (state.other !== null) lines.push([`image #${number(state.other)}`, stage.row(state.other)]);
      PICTURES[place][k].show({
        sample, scale, lines, tau: tau(), means: meaning(),
        reference: reference(stage), closed: closed[place].stages[k],
      });
    }),
  );
  showSample(closed);
  showApart();
  showCounts(closed);
  showMarks();
  showAverageSoon();
  document.documentElement.dataset.theme = state.theme;
  $("theme").textContent = `Theme: ${state.theme}`;
}

const marked = { selected: null, pinned: null };

function showMarks() {
  for (const [name, sample] of [["selected", state.sample], ["pinned", state.other]]) {
    if (marked[name] !== null) cell(marked[name]).classList.remove(name);
    if (sample !== null) cell(sample).classList.add(name);
    for (const button of $("unusual").querySelectorAll("button")) {
      button.classList.toggle(name, Number(button.dataset.sample) === sample);
    }
  }
  if (marked.selected !== null) cell(marked.selected).setAttribute("aria-selected", "false");
  Object.assign(marked, { selected: state.sample, pinned: state.other });
  const grid = $("grid");
  const selected = cell(state.sample);
  selected.setAttribute("aria-selected", "true");
  fillUpTo(shown.indexOf(state.sample));
  if (!selected.isConnected) return grid.removeAttribute("aria-activedescendant");
  grid.setAttribute("aria-activedescendant", selected.id);
  // Within the grid only: scrollIntoView would move the page too.
  const top = selected.offsetTop;
  if (top < grid.scrollTop) grid.scrollTop = top - 4;
  const bottom = top + selected.offsetHeight - grid.clientHeight;
  if (bottom > grid.scrollTop) grid.scrollTop = bottom + 4;
}

function showSample(closed) {
  const { sample } = state;
  const label = className(DATA.labels[sample]);
  showThumbnail($("portrait"), sample);
  $("portrait").setAttribute("aria-label", `Image ${number(sample)}, ${label}`);
  $("name").replaceChildren(
    make("span", { className: "note", textContent: `#${number(sample)}` }),
    ` ${label}`,
  );
  const ranks = NETWORKS.map((network) => {
    const own = network.unusualness[sample];
    return 1 + network.unusualness.filter((other) => other > own).length;
  });
  const rows = [
    ["prediction", (network) => className(network.predictions[sample]) + (network.right(sample) ? "" : ", wrong")],
    ["loss, nats", (network) => network.losses[sample].toFixed(3)],
    ["expected MACs", (network) => {
      const macs = network.expectedMacs[sample];
      return `${short.format(macs)} (${percent(macs / network.macs)})`;
    }],
    ["unusualness", (network, place) =>
      network.varies
        ? `${network.unusualness[sample].toFixed(2)} deviations, rank ${whole.format(ranks[place])} of ${whole.format(SAMPLES.length)}`
        : "none: the same for all of a class"],
  ];
  if (NETWORKS.length > 1) rows.unshift(["", (network) => network.name]);
  $("facts").replaceChildren(
    ...rows.map(([name, text]) =>
      make(
        "div",
        {},
        make("dt", { textContent: name }),
        ...NETWORKS.map((network, place) => make("dd", { textContent: text(network, place) })),
      ),
    ),
  );
  const compared = state.view === "other";
  $("other").hidden = !compared;
  if (compared) {
    const [caption, picture] = $("other").children;
    caption.textContent = `vs #${number(state.other)}`;
    showThumbnail(picture, state.other);
    picture.setAttribute("aria-label", `Image ${number(state.other)}, ${className(DATA.labels[state.other])}`);
  }
  $("path-key").hidden = state.view !== "weights";
  for (const input of $("views").querySelectorAll("input")) input.checked = input.value === state.view;
  const other = state.other === null ? VIEWS.other : `vs image #${number(state.other)}, ${className(DATA.labels[state.other])}`;
  $("views").querySelector("[value=other] + span").textContent = other;
}

/** Returns a table with a caption, names of columns, rows, and rows of its foot. */
function table(caption, columns, rows, ...foot) {
  const names = columns.map((textContent) => make("th", { scope: "col", textContent }));
  return make(
    "table",
    {},
    make("caption", { textContent: caption }),
    make("thead", {}, make("tr", {}, ...names)),
    make("tbody", {}, ...rows),
    ...foot.map((row) => make("tfoot", {}, row)),
  );
}

/** Lists the edges that set the image apart from what it is compared with. */
function showApart() {
  const { sample } = state;
  const label = className(DATA.labels[sample]);
  const bases = {
    other: `image #${number(state.other ?? sample)}`,
    all: "the mean of all",
  };
  const base = bases[state.view] ?? `the mean of ${label}`;
  const from = (stage) => reference(stage) ?? stage.classMeans[DATA.labels[sample]];
  $("apart").replaceChildren(
    ...NETWORKS.map((network, place) => {
      const edges = network.apart(sample, from, NETWORKS.length > 1 ? 3 : APART);
      const about = NETWORKS.length > 1 ? `, ${network.name}` : "";
      if (!edges.length) {
        const words = network.varies ? `Nothing sets it apart from ${base}${about}.` : `${SAME.slice(0, -1)}${about}.`;
        return make("p", { className: "note", textContent: words });
      }
      const rows = edges.map(({ place: k, edge, weight, base: usual, deviations }) => {
        const picture = PICTURES[place][k];
        const button = make("button", {
          type: "button", className: "quiet", textContent: `${k + 1}: ${picture.name(edge)}`,
          onclick: () => picture.focusOn(edge),
        });
        button.setAttribute("aria-label", `Stage ${k + 1}, edge ${picture.name(edge)}: show`);
        return make(
          "tr",
          {},
          make("th", { scope: "row" }, button),
          ...[plain(weight), plain(usual), signed(deviations, 1)].map((textContent) => make("td", { textContent })),
        );
      });
      const columns = ["stage: edge", "weight", state.view === "other" ? "there" : "mean", "deviations"];
      return table(`What sets it apart from ${base}${about}`, columns, rows);
    }),
  );
}

function showCounts(closed) {
  $("tau").value = state.tau;
  $("tau-value").textContent = `τ = ${tau().toFixed(2)}`;
  $("tau").setAttribute("aria-valuetext", tau().toFixed(2));
  const td = (what, value, words) => {
    const element = make("td", { textContent: words });
    element.dataset[what] = value;
    return element;
  };
  $("counts").replaceChildren(
    ...NETWORKS.map((network, place) => {
      const row = (name, counted, edges, nodes) =>
        make(
          "tr",
          {},
          make("th", { scope: "row", textContent: name }),
          td("open", counted.opened, `${counted.opened} / ${edges}`),
          td("dead", counted.dead, `${counted.dead} / ${nodes}`),
          td("saved", counted.saved, short.format(counted.saved)),
          make("td", { textContent: percent(counted.saved / network.macs) }),
        );
      return table(
        NETWORKS.length > 1 ? network.name : "This image",
        ["", "edges open", "nodes dead", "MACs saved", "of all"],
        network.stages.map((stage, k) =>
          row(`stage ${k + 1}`, closed[place].stages[k], stage.edges.length, stage.nodes),
        ),
        row("all", closed[place], network.edges, network.nodes),
      );
    }),
  );
}

/** Counts over all images of the list, once the threshold rests. */
function showAverage() {
  if (!shown.length) return ($("average").textContent = "");
  const texts = NETWORKS.map((network) => {
    const totals = { opened: 0, dead: 0, saved: 0 };
    for (const sample of shown) {
      const counted = network.closed(sample, tau());
      for (const key of Object.keys(totals)) totals[key] += counted[key] / shown.length;
    }
    const name = NETWORKS.length > 1 ? `${network.name}: ` : "";
    return (
      `${name}${totals.opened.toFixed(1)} of ${network.edges} edges open, ` +
      `${totals.dead.toFixed(1)} nodes dead, ${percent(totals.saved / network.macs)} of the MACs saved`
    );
  });
  const images = shown.length === 1 ? "the image" : `the ${whole.format(shown.length)} images`;
  $("average").textContent = `Mean of ${images} in the list: ${texts.join("; ")}.`;
}

let waiting = 0;
let averaged = "";
function showAverageSoon() {
  const key = [state.tau, state.find, state.label, state.outcome].join("\n");
  if (key === averaged) return;
  averaged = key;
  clearTimeout(waiting);
  waiting = setTimeout(showAverage, 80);
}

/* Files. */

function download(name, type, text) {
  const link = make("a", { download: name, href: URL.createObjectURL(new Blob([text], { type })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** Returns the edges of a sample as CSV; the columns are those of edges.csv and more. */
function csv() {
  const { sample } = state;
  const quoted = (text) => `"${String(text).replaceAll('"', '""')}"`;
  const lines = ["network,stage,source,target,constant,weight,class_mean,mean,open"];
  for (const network of NETWORKS) {
    const closed = network.closed(sample, tau());
    network.stages.forEach((stage, k) => {
      const means = stage.classMeans[DATA.labels[sample]];
      stage.row(sample).forEach((weight, edge) =>
        lines.push(
          [
            quoted(network.name), k + 1, ...stage.edges[edge], stage.constant[edge],
            weight, means[edge], stage.mean[edge], closed.stages[k].open[edge],
          ].join(","),
        ),
      );
    });
  }
  return `${lines.join("\n")}\n`;
}

/* The controls. */

function options(select, entries) {
  select.replaceChildren(...entries.map(([value, textContent]) => make("option", { value, textContent })));
}

function setUp() {
  const { sheet } = DATA.thumbnails;
  const [, png] = sheet.split(",");
  const bytes = Uint8Array.from(atob(png), (letter) => letter.charCodeAt(0));
  const url = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
  document.documentElement.style.setProperty("--sheet", `url(${url})`);
  const names = NETWORKS.map((network) => {
    const right = SAMPLES.filter((sample) => network.right(sample)).length;
    return `${network.name}: ${percent(right / SAMPLES.length)} right`;
  });
  $("about").textContent = [`${whole.format(SAMPLES.length)} images of ${DATA.about}`, ...names].join(" · ");
  document.title = `Wirings of ${NETWORKS.map((network) => network.name).join(" and ")}`;
  options($("class"), [["", "any"], ...DATA.classes.map((name, label) => [label, name])]);
  options($("outcome"), Object.entries(OUTCOMES).map(([key, [words]]) => [key, words]));
  options($("sort"), Object.entries(SORTS).map(([key, [words]]) => [key, words]));
  $("views").append(
    ...Object.entries(VIEWS).map(([value, textContent]) =>
      make(
        "label",
        {},
        make("input", { type: "radio", name: "view", value, onchange: () => change({ view: value }, { step: true }) }),
        make("span", { textContent }),
      ),
    ),
  );
  $("tau").max = highest;
  const anyConstant = NETWORKS.some(({ stages }) => stages.some(({ constant }) => constant.includes(true)));
  $("constant-key").hidden = !anyConstant;
  const rows = Math.max(...PICTURES.map((pictures) => pictures.length));
  $("stages").classList.toggle("two", NETWORKS.length > 1);
  for (let k = 0; k < rows; k++) {
    for (const pictures of PICTURES) {
      $("stages").append(pictures[k]?.figure ?? make("div"));
    }
  }
}

function listen() {
  $("grid").addEventListener("click", (event) => {
    const sample = event.target.dataset.sample;
    if (sample === undefined) return;
    if (event.shiftKey) change({ other: Number(sample), view: "other" }, { step: true });
    else pick(Number(sample));
  });
  $("grid").addEventListener("scroll", fillOnScroll, { passive: true });
  $("find").addEventListener("input", () => change({ find: $("find").value }));
  $("class").addEventListener("change", () =>
    change({ label: $("class").value === "" ? null : Number($("class").value) }, { step: true }),
  );
  for (const key of ["outcome", "sort"]) {
    $(key).addEventListener("change", () => change({ [key]: $(key).value }, { step: true }));
  }
  $("reset").addEventListener("click", () => change({ find: "", label: null, outcome: "any" }, { step: true }));
  $("tau").addEventListener("input", () => change({ tau: Number($("tau").value) }));
  $("pin").addEventListener("click", pin);
  $("csv").addEventListener("click", () =>
    download(`image-${number(state.sample)}.csv`, "text/csv", csv()),
  );
  for (const pictures of PICTURES) {
    for (const picture of pictures) picture.save.addEventListener("click", () => saveSvg(picture));
  }
  $("theme").addEventListener("click", () =>
    change({ theme: THEMES[(THEMES.indexOf(state.theme) + 1) % THEMES.length] }),
  );
  $("help").addEventListener("click", () => $("keys").showModal());
  $("skip").addEventListener("click", (event) => {
    event.preventDefault();
    $("detail").focus();
  });
  document.addEventListener("keydown", press);
  addEventListener("hashchange", () => {
    read(location.hash);
    showGrid();
    show();
  });
}

const pin = () => change({ other: state.sample }, { step: true });

function saveSvg(picture) {
  const label = className(DATA.labels[state.sample]);
  const name = `image-${number(state.sample)}-${picture.title.toLowerCase().replace(" ", "-")}.svg`;
  const view = state.view === "weights" ? "" : `, ${VIEWS[state.view]}`;
  const words = `${picture.network.name}, ${picture.title.toLowerCase()}, image ${number(state.sample)} (${label})${view}, τ = ${tau().toFixed(2)}`;
  download(name, "image/svg+xml", picture.file(words));
}

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
  const { target, key } = event;
  const typing = target.matches?.("input[type=search], select");
  if (typing) {
    if (key === "Escape") target.blur();
    return;
  }
  const takesArrows = target.matches?.("input");
  const inGrid = target === $("grid");
  const acts = {
    "[": () => change({ tau: clamped(state.tau - 1) }),
    "]": () => change({ tau: clamped(state.tau + 1) }),
    "/": () => $("find").focus(),
    "?": () => $("keys").showModal(),
    p: pin,
  };
  acts["-"] = acts["["];
  acts["+"] = acts["="] = acts["]"];
  acts.P = acts.p;
  Object.keys(VIEWS).forEach((view, place) => (acts[place + 1] = () => change({ view }, { step: true })));
  if (!takesArrows) {
    acts.ArrowLeft = () => go(-1);
    acts.ArrowRight = () => go(1);
  }
  if (inGrid) {
    acts.ArrowUp = () => go(-gridColumns());
    acts.ArrowDown = () => go(gridColumns());
    acts.Home = () => go(-shown.length);
    acts.End = () => go(shown.length);
  }
  if (!Object.hasOwn(acts, key)) return;
  event.preventDefault();
  acts[key]();
}

setUp();
read(location.hash);
listUnusual(UNUSUAL, pick);
showGrid();
document.body.classList.add("ready");
show();
listen();
$("loading").remove();
