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

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

class Stage {
  constructor(told, labels, classes) {
    Object.assign(this, told, { weights: floats(told.weights) });
    this.sent = Array.from({ length: told.nodes }, () => []);
    told.edges.forEach(([source], edge) => this.sent[source].push(edge));
    this.macs = sum(told.edgeMacs) + sum(told.nodeMacs);
    this.setMeans(labels, classes);
  }

  /** Returns what each edge weighs for a sample. */
  row(sample) {
    const count = this.edges.length;
    return this.weights.subarray(sample * count, (sample + 1) * count);
  }

  /** Sets the mean weight of each edge: of all samples, and of each class's. */
  setMeans(labels, classes) {
    const zeros = () => new Float64Array(this.edges.length);
    const counts = new Float64Array(classes);
    this.mean = zeros();
    this.classMeans = Array.from({ length: classes }, zeros);
    labels.forEach((label, sample) => {
      const mean = this.classMeans[label];
      counts[label]++;
      this.row(sample).forEach((weight, edge) => {
        this.mean[edge] += weight;
        mean[edge] += weight;
      });
    });
    this.mean.forEach((total, edge) => (this.mean[edge] = total / labels.length));
    this.classMeans.forEach((mean, label) =>
      mean.forEach((total, edge) => (mean[edge] = total / counts[label])),
    );
  }

  /**
   * Returns what stays of a sample's wiring when every edge lighter than tau is closed.
   *
   * The rule is closed_below's in analysis/closing.py: a weight of 0 is closed already;
   * a node that hears no open edge is dead; one that is alive keeps its heaviest output
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
  constructor(told) {
    this.name = told.name;
    this.predictions = told.predictions;
    this.losses = floats(told.losses);
    this.unusualness = floats(told.unusualness);
    this.stages = told.stages.map(
      (stage) => new Stage(stage, DATA.labels, DATA.classes.length),
    );
    this.edges = sum(this.stages.map((stage) => stage.edges.length));
    this.nodes = sum(this.stages.map((stage) => stage.nodes));
    this.macs = told.otherMacs + sum(this.stages.map((stage) => stage.macs));
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

  right(sample) {
    return this.predictions[sample] === DATA.labels[sample];
  }
}

const NETWORKS = DATA.networks.map((told) => new Network(told));
const SAMPLES = DATA.labels.map((_, sample) => sample);
const PLACES = new Map(DATA.numbers.map((number, sample) => [number, sample]));
// Their texts are large, and decoded by now.
delete DATA.networks;
