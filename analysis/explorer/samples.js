/* The images: thumbnails, the filters, the grid, and the list of the most unusual. */

const $ = (id) => document.getElementById(id);

/** Returns an element with properties and children; texts stay texts. */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const className = (label) => DATA.classes[label] ?? String(label);

/** Returns what happened to a sample, in words. */
function outcome(sample, network = NETWORKS[0]) {
  const label = className(DATA.labels[sample]);
  if (network.right(sample)) return label;
  return `${label}, taken for ${className(network.predictions[sample])}`;
}

/** Shows a sample's thumbnail on an element, as a part of the sheet. */
function showThumbnail(element, sample) {
  const { columns } = DATA.thumbnails;
  const rows = Math.ceil(SAMPLES.length / columns);
  const share = (place, of) => (of > 1 ? `${(100 * place) / (of - 1)}%` : "0");
  const row = Math.floor(sample / columns);
  element.classList.add("thumbnail");
  element.style.backgroundSize = `${100 * columns}% ${100 * rows}%`;
  element.style.backgroundPosition = `${share(sample % columns, columns)} ${share(row, rows)}`;
}

const first = NETWORKS[0];
const SAME = "None: weights are the same for all images of a class.";
const falling = (values) => (a, b) => values[b] - values[a] || a - b;
const rising = (values) => (a, b) => values[a] - values[b] || a - b;

const SORTS = {
  number: ["number", (a, b) => a - b],
  loss: ["loss, highest first", falling(first.losses)],
  unusual: ["unusualness, highest first", falling(first.unusualness)],
  macs: ["expected MACs, most first", falling(first.expectedMacs)],
  fewest: ["expected MACs, fewest first", rising(first.expectedMacs)],
};

const OUTCOMES = {
  any: ["any", () => true],
  right: ["right", (sample) => first.right(sample)],
  wrong: ["wrong", (sample) => !first.right(sample)],
};
if (NETWORKS.length > 1) {
  OUTCOMES.differ = [
    "networks differ",
    (sample) => first.predictions[sample] !== NETWORKS[1].predictions[sample],
  ];
}

/** Returns the samples that fit the filters, in order. */
function chosen({ find, label, outcome: wanted, sort }) {
  const words = find.trim().toLowerCase().replace(/^#/, "");
  const named = (sample) =>
    className(DATA.labels[sample]).toLowerCase().includes(words) ||
    String(DATA.numbers[sample]) === words;
  return SAMPLES.filter(
    (sample) =>
      (label === null || DATA.labels[sample] === label) &&
      OUTCOMES[wanted][1](sample) &&
      (!words || named(sample)),
  ).sort(SORTS[sort][1]);
}

const PIECE = 400;
const CELLS = [];
let drawn = { samples: [], count: 0 };

/** Returns the cell of the grid that shows a sample; it is made when it is asked for. */
const cell = (sample) => (CELLS[sample] ??= newCell(sample));

function newCell(sample) {
  const element = make("div", {
    id: `image-${sample}`,
    title: `#${DATA.numbers[sample]} ${outcome(sample)}`,
  });
  element.setAttribute("role", "option");
  element.setAttribute("aria-selected", "false");
  element.setAttribute("aria-label", element.title);
  element.classList.toggle("wrong", !first.right(sample));
  element.dataset.sample = sample;
  showThumbnail(element, sample);
  return element;
}

/** Fills the grid anew with the first of some samples; scrolling brings more. */
function fillGrid(samples) {
  $("grid").replaceChildren();
  $("grid").scrollTop = 0;
  drawn = { samples, count: 0 };
  fillUpTo(0);
}

/** Adds cells to the grid until this place is in it, and some more. */
function fillUpTo(place) {
  const { samples, count } = drawn;
  if (place < count) return;
  drawn.count = Math.min(samples.length, place + PIECE);
  const cells = samples.slice(count, drawn.count).map((sample, added) => {
    const element = cell(sample);
    element.setAttribute("aria-posinset", count + added + 1);
    element.setAttribute("aria-setsize", samples.length);
    return element;
  });
  $("grid").append(...cells);
}

/** Adds cells where the end of the grid comes near. */
function fillOnScroll() {
  const { scrollTop, clientHeight, scrollHeight } = $("grid");
  if (scrollTop + 3 * clientHeight > scrollHeight) fillUpTo(drawn.count);
}

/** Returns how many cells stand in a row of the grid. */
function gridColumns() {
  return getComputedStyle($("grid")).gridTemplateColumns.split(" ").length;
}

/** Lists the samples whose wirings are farthest from the mean of their class. */
function listUnusual(count, pick) {
  if (!first.varies) {
    $("unusual-note").textContent = SAME;
    return;
  }
  const order = [...SAMPLES].sort(SORTS.unusual[1]).slice(0, count);
  $("unusual").replaceChildren(
    ...order.map((sample) => {
      const picture = make("span", { ariaHidden: "true" });
      showThumbnail(picture, sample);
      const button = make(
        "button",
        { type: "button", onclick: () => pick(sample) },
        picture,
        make("span", { className: "words", textContent: outcome(sample) }),
        make("span", {
          className: "number",
          textContent: first.unusualness[sample].toFixed(2),
        }),
      );
      button.dataset.sample = sample;
      return make("li", {}, button);
    }),
  );
}
