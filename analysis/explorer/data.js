"use strict";

/* What the page holds, and what follows from it: means, and the rule of closing. */

const DATA = JSON.parse(document.getElementById("data").textContent);

/** Returns the float32 numbers of a base64 text. */
function floats(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return new Float32Array(bytes.buffer);
}

/** What weights are known to, as a part of their size: float32. */
const RESOLUTION = 2 ** -23;

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

class Stage {
  constructor(content, labels, classes) {
    Object.assign(this, content, { weights: floats(content.weights) });
    const whole = this.weights.length === labels.length * content.edges.length;
    if (!whole || !this.weights.every(Number.isFinite)) throw new Error("the page is not whole");
    this.sent = Array.from({ length: content.nodes }, () => []);
    content.edges.forEach(([source], edge) => this.sent[source].push(edge));
    // By target: what a node is sent is known when its own output edges come.
    this.byTarget = content.edges.map((_, edge) => edge).sort((one, other) => {
      const [[i, j], [k, l]] = [content.edges[one], content.edges[other]];
      return j - l || i - k;
    });
    this.macs = sum(content.edgeMacs) + sum(content.nodeMacs);
    this.setMoments(labels, classes);
  }

  /** Returns what each edge weighs for a sample. */
  row(sample) {
    const count = this.edges.length;
    return this.weights.subarray(sample * count, (sample + 1) * count);
  }

  /** Sets each edge's means, of all samples and of each class's, and its deviation within classes. */
  setMoments(labels, classes) {
    const samples = labels.map((_, sample) => sample);
    const mean = (chosen, value) => {
      const totals = new Float64Array(this.edges.length);
      for (const sample of chosen) {
        this.row(sample).forEach((weight, edge) => (totals[edge] += value(weight, edge, sample)));
      }
      return totals.map((total) => total / chosen.length);
    };
    const weight = (each) => each;
    const square = (each, edge, sample) => (each - this.classMeans[labels[sample]][edge]) ** 2;
    this.mean = mean(samples, weight);
    this.classMeans = Array.from({ length: classes }, (_, label) =>
      mean(samples.filter((sample) => labels[sample] === label), weight),
    );
    this.deviation = mean(samples, square).map(Math.sqrt);
    this.varies = this.edges.map(
      (_, edge) =>
        !this.constant[edge] && this.deviation[edge] > RESOLUTION * Math.abs(this.mean[edge]),
    );
  }

  /**
   * Returns the open path that carries most, as edges, and its share of what all carry.
   *
   * A path carries the product of the sizes of its weights: the rule of stage_paths in
   * analysis/statistics/paths.py.
   */
  strongestPath(row, open) {
    const carried = new Float64Array(this.nodes);
    const best = new Float64Array(this.nodes);
    const before = new Int32Array(this.nodes).fill(-1);
    carried[0] = best[0] = 1;
    for (const edge of this.byTarget) {
      if (!open[edge]) continue;
      const [source, target] = this.edges[edge];
      const size = Math.abs(row[edge]);
      carried[target] += size * carried[source];
      const through = size * best[source];
      if (through > best[target]) [best[target], before[target]] = [through, edge];
    }
    const path = [];
    const last = this.nodes - 1;
    if (best[last] > 0) {
      for (let node = last; node > 0; node = this.edges[path[0]][0]) path.unshift(before[node]);
    }
    return { path, share: path.length ? best[last] / carried[last] : 0 };
  }

  /**
   * Returns what stays of a sample's wiring when every edge lighter than tau is closed.
   *
   * The rule is closed_below's in analysis/closing.py: a weight of 0 is closed already;
   * a node without an open incoming edge is dead; one that is alive keeps its heaviest output
   * edge; constant edges have no threshold. There tau is compared as float32, so here.
   */
  closedBelow(row, tau) {
    const limit = Math.fround(tau);
    const open = new Uint8Array(this.edges.length);
    const alive = new Uint8Array(this.nodes);
    let macs = 0;
    alive[0] = 1;
    for (let node = 0; node < this.nodes; node++) {
      if (!alive[node]) continue;
      macs += this.nodeMacs[node];
      let heaviest = -1;
      let most = 0;
      let passes = false;
      for (const edge of this.sent[node]) {
        const size = Math.abs(row[edge]);
        if (size > most) [most, heaviest] = [size, edge];
        open[edge] = size > 0 && (size >= limit || this.constant[edge]) ? 1 : 0;
        passes ||= open[edge] === 1;
      }
      if (!passes && heaviest >= 0) open[heaviest] = 1;
      for (const edge of this.sent[node]) {
        if (!open[edge]) continue;
        macs += this.edgeMacs[edge];
        alive[this.edges[edge][1]] = 1;
      }
    }
    const dead = this.nodes - sum(alive);
    return { open, alive, dead, opened: sum(open), macs, saved: this.macs - macs };
  }
}

class Network {
  constructor(content) {
    this.name = content.name;
    this.predictions = content.predictions;
    this.losses = floats(content.losses);
    this.unusualness = floats(content.unusualness);
    this.stages = content.stages.map(
      (stage) => new Stage(stage, DATA.labels, DATA.classes.length),
    );
    this.varies = this.stages.some((stage) => stage.varies.includes(true));
    this.edges = sum(this.stages.map((stage) => stage.edges.length));
    this.nodes = sum(this.stages.map((stage) => stage.nodes));
    this.macs = content.otherMacs + sum(this.stages.map((stage) => stage.macs));
    this.heaviest = 0;
    for (const { weights } of this.stages) {
      for (const weight of weights) {
        if (Math.abs(weight) > this.heaviest) this.heaviest = Math.abs(weight);
      }
    }
    // At tau 0 the wiring is as the network had it.
    this.expectedMacs = DATA.labels.map((_, sample) => this.macs - this.closed(sample, 0).saved);
  }

  /** Returns what stays of a sample's wirings, stage by stage, and in all. */
  closed(sample, tau) {
    const stages = this.stages.map((stage) => stage.closedBelow(stage.row(sample), tau));
    const all = (what) => sum(stages.map((stage) => stage[what]));
    return { stages, opened: all("opened"), dead: all("dead"), saved: all("saved") };
  }

  /**
   * Returns the edges that set a sample's wiring apart, the most telling first.
   *
   * By the size of the difference from a reference in deviations within classes; from
   * the mean of the class these are what unusualness adds up.
   */
  apart(sample, reference, count) {
    const found = [];
    this.stages.forEach((stage, place) => {
      const [row, base] = [stage.row(sample), reference(stage)];
      row.forEach((weight, edge) => {
        if (!stage.varies[edge] || weight === base[edge]) return;
        const deviations = (weight - base[edge]) / stage.deviation[edge];
        found.push({ place, edge, weight, base: base[edge], deviations });
      });
    });
    return found.sort((a, b) => Math.abs(b.deviations) - Math.abs(a.deviations)).slice(0, count);
  }

  right(sample) {
    return this.predictions[sample] === DATA.labels[sample];
  }
}

const NETWORKS = DATA.networks.map((content) => new Network(content));
const SAMPLES = DATA.labels.map((_, sample) => sample);
const PLACES = new Map(DATA.numbers.map((number, sample) => [number, sample]));
// Their texts are large, and decoded by now.
delete DATA.networks;
