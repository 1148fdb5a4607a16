/* A stage as arcs and as a matrix, linked: what lights up in one does in the other. */

const SVG = "http://www.w3.org/2000/svg";

/** Returns an SVG element with attributes and children. */
function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const WIDTH = 640;
const MARGIN = 22;
const SQUARE = 320;
const STEPS = 11;
/* Pixels on the screen, whatever the size of a picture. */
const LETTERS = 11;
const NODE = 13;
const signed = (number, digits = 3) => (number < 0 ? "−" : "+") + Math.abs(number).toFixed(digits);
const plain = (number) => (number < 0 ? "−" : "") + Math.abs(number).toFixed(3);

/** Sets where a text stands, and how large it is. */
function place(words, x, y, size) {
  for (const [name, value] of Object.entries({ x, y, "font-size": size })) words.setAttribute(name, value);
}

/** Returns which places from 0 to the last are named, so that names keep a distance. */
function labelled(last, step, distance) {
  const every = [1, 2, 5, 10, 20, 50, 100].find((each) => each * step >= distance) ?? last;
  return (place) => place === last || (place % every === 0 && (last - place) * step >= distance);
}

class Picture {
  constructor(network, place) {
    this.network = network;
    this.stage = network.stages[place];
    this.title = `Stage ${place + 1}`;
    this.last = this.stage.nodes - 1;
    this.drawArcs();
    this.drawMatrix();
    const { nodes, edges } = this.stage;
    const size = `${nodes} nodes, ${edges.length} edges`;
    const words = NETWORKS.length > 1 ? `${network.name} · ${size}` : size;
    this.save = make("button", { type: "button", className: "quiet", textContent: "SVG" });
    this.save.setAttribute("aria-label", `${this.title} of ${network.name} as SVG`);
    this.summary = make("p", { className: "note summary" });
    this.figure = make(
      "figure",
      { className: "card stage" },
      make(
        "figcaption",
        {},
        make("h3", { textContent: this.title }),
        make("span", { className: "note", textContent: words }),
        this.save,
      ),
      this.summary,
      make("div", { className: "pair" }, this.arcs, this.matrix),
    );
    new ResizeObserver(() => this.fit()).observe(this.figure);
    this.figure.addEventListener("pointerover", (event) => this.point(event));
    this.figure.addEventListener("pointerleave", () => this.darken());
    this.matrix.addEventListener("focusin", (event) => this.point(event));
    this.matrix.addEventListener("focusout", () => this.darken());
    this.matrix.addEventListener("keydown", (event) => this.walk(event));
  }

  label(node) {
    return node === 0 ? "in" : node === this.last ? "out" : String(node);
  }

  drawArcs() {
    const step = (WIDTH - 2 * MARGIN) / this.last;
    const longest = Math.max(...this.stage.edges.map(([source, target]) => target - source));
    const line = 0.38 * longest * step + 14;
    Object.assign(this, { step, line });
    const x = (node) => MARGIN + node * step;
    this.boldest = Math.min(5, 0.6 + 0.08 * step);
    const paths = this.stage.edges.map(([source, target], edge) => {
      const span = (x(target) - x(source)) / 2;
      const d = `M${x(source)} ${line}A${span} ${0.76 * span} 0 0 1 ${x(target)} ${line}`;
      return [draw("path", { d, class: "hit", "data-edge": edge }), draw("path", { d, class: "arc" })];
    });
    this.paths = paths.map(([, path]) => path);
    this.nodes = Array.from({ length: this.stage.nodes }, (_, node) =>
      draw(
        "g",
        { class: "node" },
        draw("circle", { cx: x(node), cy: line }),
        draw("text", { x: x(node) }),
      ),
    );
    this.nodes.forEach((node, place) => (node.lastChild.textContent = this.label(place)));
    this.arcs = draw(
      "svg",
      { class: "arcs", role: "img" },
      ...this.paths,
      ...paths.map(([hit]) => hit),
      ...this.nodes,
    );
    // Many closed edges would together be darker than the open ones.
    this.arcs.style.setProperty("--closed", Math.min(0.3, 25 / paths.length));
  }

  drawMatrix() {
    const size = Math.min(40, SQUARE / this.last);
    this.size = size;
    const text = (className, words) => {
      const element = draw("text", { class: className });
      element.textContent = words;
      return element;
    };
    const places = Array.from({ length: this.last }, (_, node) => node);
    this.columns = places.map((node) => text("axis", this.label(node)));
    this.rows = places.map((node) => text("axis row", this.label(node + 1)));
    this.cells = this.stage.edges.map(([source, target], edge) =>
      draw("rect", {
        x: source * size + 0.75,
        y: (target - 1) * size + 0.75,
        width: size - 1.5,
        height: size - 1.5,
        rx: Math.min(3, 0.12 * size),
        class: "cell",
        role: "option",
        tabindex: edge ? -1 : 0,
        "data-edge": edge,
      }),
    );
    this.steps = Array.from({ length: STEPS }, () =>
      draw("rect", { y: 0, height: 8 }),
    );
    this.ends = [text("axis start", ""), text("axis row", "")];
    this.means = text("axis row", "");
    this.matrix = draw(
      "svg",
      {
        class: size < 14 ? "matrix small" : "matrix",
        role: "listbox",
        "aria-label": `${this.title} of ${this.network.name}: edges, rows receive from columns`,
      },
      ...this.columns,
      ...this.rows,
      ...this.cells,
      ...this.steps,
      ...this.ends,
      this.means,
    );
  }

  /** Sizes nodes and letters, so that they can be read however large the pictures are. */
  fit() {
    const unit = (svg, width) => width / (svg.clientWidth || svg.getBoundingClientRect().width || width);
    this.fitTo(unit(this.arcs, WIDTH), unit(this.matrix, SQUARE + 30));
  }

  /** Does what fit does, where a pixel has this many units of arcs and of the matrix. */
  fitTo(arcs, matrix) {
    const { step, line, size, last } = this;
    const letters = LETTERS * arcs;
    // A node holds its name, or has it below.
    const room = Math.min(NODE * arcs, 0.42 * step, MARGIN - 2);
    const within = room >= LETTERS * arcs;
    const radius = within ? room : Math.min(0.36 * step, 5 * arcs);
    const height = within ? line : line + radius + 0.9 * letters;
    const shown = labelled(last, step, 20 * arcs);
    this.nodes.forEach((node, place) => {
      node.firstChild.setAttribute("r", radius);
      node.classList.toggle("named-below", !within);
      const words = node.lastChild;
      words.setAttribute("y", height);
      words.setAttribute("font-size", letters);
      words.toggleAttribute("hidden", !within && !shown(place));
    });
    const bottom = Math.max(line + radius + 2, height + 0.7 * letters);
    this.arcs.setAttribute("viewBox", `0 0 ${WIDTH} ${bottom}`);

    const font = LETTERS * matrix;
    const below = size * last + 0.9 * font;
    const [columns, rows] = [labelled(last - 1, size, 17 * matrix), labelled(last, size, 13 * matrix)];
    this.columns.forEach((words, node) => {
      place(words, (node + 0.5) * size, below, font);
      words.toggleAttribute("hidden", !columns(node));
    });
    this.rows.forEach((words, node) => {
      place(words, -4, (node + 0.5) * size, font);
      words.toggleAttribute("hidden", !rows(node + 1));
    });
    const shade = Math.max(10, 0.95 * font);
    this.steps.forEach((rect, place) => {
      rect.setAttribute("x", SQUARE - (STEPS - place) * shade);
      rect.setAttribute("width", shade);
    });
    place(this.ends[0], SQUARE - STEPS * shade, 8 + 0.8 * font, font);
    place(this.ends[1], SQUARE, 8 + 0.8 * font, font);
    place(this.means, SQUARE, 8 + 2 * font, font);
    const left = 4 + 2 * font;
    this.matrix.setAttribute("viewBox", `${-left} -2 ${SQUARE + left + 2} ${below + font}`);
  }

  /** Shows a sample: its weights, or how they differ from a reference's. */
  show({ sample, reference, closed, scale, tau, lines, means }) {
    Object.assign(this, { sample, closed, lines });
    const row = this.stage.row(sample);
    const strongest = this.stage.strongestPath(row, closed.open);
    this.values = Array.from(row, (weight, edge) => weight - (reference ? reference[edge] : 0));
    // Where edges are many, all of them together hide each.
    const crowd = Math.min(1, Math.sqrt(150 / this.paths.length));
    this.values.forEach((value, edge) => {
      const share = scale > 0 ? Math.min(1, Math.abs(value) / scale) : 0;
      const constant = this.stage.constant[edge];
      const names = [
        constant ? "constant" : reference || value < 0 ? (value < 0 ? "less" : "more") : "weight",
        closed.open[edge] ? "open" : "closed",
      ].join(" ");
      const [path, rect] = [this.paths[edge], this.cells[edge]];
      path.setAttribute("class", `arc ${names}`);
      path.style.strokeWidth = 0.5 + (constant ? 0.5 : this.boldest * share);
      // Small differences are many, and would not be seen as thin and pale lines.
      const seen = reference ? Math.sqrt(share) : share;
      path.style.strokeOpacity = constant ? 0.5 : crowd * (0.06 + 0.94 * seen);
      rect.setAttribute("class", `cell ${names}`);
      rect.style.fillOpacity = constant ? 0.15 : share;
      rect.setAttribute("aria-label", this.words(edge));
    });
    if (!reference) for (const edge of strongest.path) this.paths[edge].classList.add("strongest");
    this.tell(strongest, closed);
    this.means.textContent = means;
    this.nodes.forEach((node, place) => {
      node.classList.toggle("dead", !closed.alive[place]);
    });
    this.steps.forEach((step, place) => {
      const share = place / (STEPS - 1);
      const value = reference ? 2 * share - 1 : share;
      step.setAttribute("class", reference ? (value < 0 ? "less" : "more") : "weight");
      step.style.fillOpacity = Math.abs(value);
    });
    this.ends[0].textContent = reference && scale ? signed(-scale) : "0";
    this.ends[1].textContent = reference && scale ? signed(scale) : plain(scale);
    this.arcs.setAttribute(
      "aria-label",
      `${this.title} of ${this.network.name}: ${closed.opened} of ${row.length} edges ` +
        `open, ${closed.dead} nodes dead at τ ${tau}`,
    );
  }

  /** Tells the path that carries most, and its part of what all carry. */
  tell({ path, share }, { opened }) {
    const nodes = [0, ...path.map((edge) => this.stage.edges[edge][1])];
    const chain = nodes.map((node) => this.label(node)).join(" → ");
    this.summary.textContent = path.length
      ? `strongest path ${chain}, ${share < 0.001 ? "under 0.1" : (100 * share).toFixed(1)} % of what all paths carry; ` +
        `${opened} of ${this.stage.edges.length} edges open`
      : "no open path";
  }

  /** Returns an edge's numbers, a name and a text each. */
  numbers(edge) {
    const words = this.lines.map(([name, row]) => [name, plain(row[edge])]);
    if (this.stage.constant[edge]) words.push(["", "constant: the same for all"]);
    if (!this.closed.open[edge]) words.push(["", "closed"]);
    return words;
  }

  name(edge) {
    const [source, target] = this.stage.edges[edge];
    return `${this.label(source)} → ${this.label(target)}`;
  }

  words(edge) {
    const numbers = this.numbers(edge).map((words) => words.filter(Boolean).join(" "));
    return `${this.name(edge)}: ${numbers.join(", ")}`;
  }

  /** Lights up the edge that is pointed at, or has the focus. */
  point(event) {
    const found = event.target.dataset?.edge;
    this.darken();
    if (found === undefined) return;
    const edge = Number(found);
    const [source, target] = this.stage.edges[edge];
    this.lit = [this.paths[edge], this.cells[edge], this.nodes[source], this.nodes[target]];
    for (const element of this.lit) element.classList.add("lit");
    this.figure.classList.add("pointed");
    const box = event.target.getBoundingClientRect();
    const pointer = event.type === "pointerover";
    const at = pointer ? [event.clientX, event.clientY] : [box.right, box.bottom];
    tell(`${this.title}: ${this.name(edge)}`, this.numbers(edge), ...at);
  }

  darken() {
    for (const element of this.lit ?? []) element.classList.remove("lit");
    this.figure.classList.remove("pointed");
    $("tip").hidden = true;
  }

  /** Moves the focus to the nearest edge in an arrow's direction. */
  walk(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const step = steps[event.key];
    if (!step || event.target.dataset.edge === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    let [source, target] = this.stage.edges[event.target.dataset.edge];
    while (source >= 0 && target <= this.last && source < this.last && target > 0) {
      source += step[0];
      target += step[1];
      const next = this.stage.edges.findIndex(([i, j]) => i === source && j === target);
      if (next < 0) continue;
      this.focusOn(next);
      return;
    }
  }

  /** Moves the focus to an edge, which lights it up. */
  focusOn(edge) {
    for (const each of this.cells) each.setAttribute("tabindex", -1);
    this.cells[edge].setAttribute("tabindex", 0);
    const target = this.cells[edge];
    target.focus();
    // Once more where the focus has scrolled it to: numbers stand beside it.
    this.point({ target, type: "focusin" });
  }

  /** Returns both pictures as one SVG file that needs no style sheet. */
  file(words) {
    this.fitTo(1, 1);
    const [, , width, height] = this.arcs.getAttribute("viewBox").split(" ").map(Number);
    const box = this.matrix.getAttribute("viewBox").split(" ").map(Number);
    const tall = Math.max(height, box[3]) + 34;
    const put = (svg, attributes) => {
      const copy = styled(svg);
      for (const [name, value] of Object.entries(attributes)) copy.setAttribute(name, value);
      return copy;
    };
    const wide = width + box[2] + 20;
    const title = draw("text", { x: 8, y: 20, "font-size": 13, "font-family": "sans-serif" });
    title.textContent = words;
    title.setAttribute("fill", colour("color"));
    const paper = draw("rect", { width: wide, height: tall, fill: colour("backgroundColor") });
    const svg = draw(
      "svg",
      { xmlns: SVG, viewBox: `0 0 ${wide} ${tall}`, width: wide, height: tall },
      paper,
      title,
      put(this.arcs, { x: 0, y: 34, width, height }),
      put(this.matrix, { x: width + 20, y: 34, width: box[2], height: box[3] }),
    );
    this.fit();
    return new XMLSerializer().serializeToString(svg);
  }
}

const colour = (name) => getComputedStyle(document.querySelector(".card"))[name];

const STYLED = [
  "fill", "fill-opacity", "stroke", "stroke-opacity", "stroke-width", "stroke-dasharray",
  "font-family", "text-anchor", "dominant-baseline",
];

/** Returns a copy of an SVG whose style is in attributes, without what only takes the pointer. */
function styled(svg) {
  const copy = svg.cloneNode(true);
  const originals = [svg, ...svg.querySelectorAll("*")];
  [copy, ...copy.querySelectorAll("*")].forEach((element, place) => {
    const style = getComputedStyle(originals[place]);
    for (const name of STYLED) element.setAttribute(name, style.getPropertyValue(name));
    for (const name of ["style", "tabindex", "data-edge", "role"]) element.removeAttribute(name);
  });
  for (const hit of copy.querySelectorAll(".hit, [hidden]")) hit.remove();
  for (const element of [copy, ...copy.querySelectorAll("*")]) element.removeAttribute("class");
  return copy;
}

/** Shows a few named numbers beside a place on the screen. */
function tell(title, numbers, x, y) {
  const tip = $("tip");
  tip.replaceChildren(
    make("strong", { textContent: title }),
    ...numbers.map(([name, value]) =>
      make("div", {}, make("span", { textContent: name }), make("span", { textContent: value })),
    ),
  );
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - width - 8))}px`;
  tip.style.top = `${y + 16 + height > innerHeight ? y - height - 12 : y + 16}px`;
}
