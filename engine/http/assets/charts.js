// Charts on a canvas: sharp at any pixel ratio, in the colours of the style sheet. What to draw is given as a whole each time.

/** Room around the plot, in CSS pixels: marks on the left, on the right at least half a mark. */
const MARGIN = { left: 58, right: 22, top: 10, bottom: 24 };

/** A canvas that keeps itself as large and as sharp as it is shown, and draws its last picture again when that changes. */
export class Chart {
  constructor(canvas) {
    this.canvas = canvas;
    this.picture = null;
    /** Where the pointer is, as a share of the plot's width; null if it is elsewhere. */
    this.pointed = null;
    /** Where the plot ends, which leaves room for the names of lines. */
    this.right = 0;
    this.onPoint = () => {};
    new ResizeObserver(() => this.draw(this.picture)).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw(this.picture));
    canvas.addEventListener("pointermove", (event) => this.#point(event.offsetX));
    canvas.addEventListener("pointerleave", () => this.#point(null));
  }

  #point(offset) {
    const share = offset === null ? null : (offset - MARGIN.left) / (this.right - MARGIN.left);
    this.pointed = share !== null && share >= 0 && share <= 1 ? share : null;
    this.onPoint();
  }

  /**
   * Draws { x, y, xMark, yMark, lines, flags, empty }: axes as scale.js makes them, texts for their marks, lines of
   * { points, colour, dash, width, fill, name, gap }, and flags of { at, tone } as verticals.
   */
  draw(picture) {
    this.picture = picture;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!picture || width === 0) return;
    const ratio = devicePixelRatio || 1;
    const [pixels, rows] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== pixels) this.canvas.width = pixels;
    if (this.canvas.height !== rows) this.canvas.height = rows;
    const pen = this.canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const style = getComputedStyle(this.canvas);
    pen.font = `11px ${style.fontFamily}`;
    const names = (picture.empty ? [] : picture.lines).map((line) => pen.measureText(line.name).width + 10);
    this.right = width - Math.max(MARGIN.right, ...names);
    const plot = new Plot(pen, picture, { right: this.right, height, ratio, colour: (name) => style.getPropertyValue(name) });
    plot.axes();
    if (picture.empty) return;
    picture.flags?.forEach((flag) => plot.flag(flag));
    picture.lines.forEach((line) => plot.line(line));
    plot.names();
    if (this.pointed !== null) plot.pointer(this.pointed);
  }
}

/** One picture while it is drawn. */
class Plot {
  constructor(pen, picture, { right, height, ratio, colour }) {
    Object.assign(this, { pen, picture, right, ratio, colour });
    this.left = MARGIN.left;
    this.top = MARGIN.top;
    this.bottom = height - MARGIN.bottom;
  }

  x(value) {
    return this.left + this.picture.x.place(value) * (this.right - this.left);
  }

  y(value) {
    return this.bottom - this.picture.y.place(value) * (this.bottom - this.top);
  }

  /** On the middle of a device pixel, so that a line of one pixel is one. */
  sharp(place) {
    return (Math.floor(place * this.ratio) + 0.5) / this.ratio;
  }

  axes() {
    const { pen, picture } = this;
    pen.lineWidth = 1 / Math.max(1, Math.floor(this.ratio));
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    pen.fillStyle = this.colour("--muted");
    for (const [index, mark] of picture.empty ? [] : picture.y.marks.entries()) {
      const y = this.sharp(this.y(mark));
      const ground = index === 0 && picture.y.min === mark;
      pen.strokeStyle = this.colour(ground ? "--axis" : "--grid");
      this.stroke([[this.left, y], [this.right, y]]);
      pen.fillText(picture.yMark(mark), this.left - 8, y);
    }
    pen.textBaseline = "top";
    pen.textAlign = "center";
    pen.strokeStyle = this.colour("--axis");
    this.stroke([[this.left, this.sharp(this.bottom)], [this.right, this.sharp(this.bottom)]]);
    let taken = -Infinity;
    for (const mark of picture.x.marks) {
      const x = this.sharp(this.x(mark));
      this.stroke([[x, this.bottom], [x, this.bottom + 4]]);
      const words = picture.xMark(mark);
      const half = pen.measureText(words).width / 2;
      // A text that would touch the one before it is left out.
      if (x - half < taken + 6) continue;
      pen.fillText(words, x, this.bottom + 8);
      taken = x + half;
    }
  }

  stroke(points) {
    const { pen } = this;
    pen.beginPath();
    points.forEach(([x, y], index) => (index === 0 ? pen.moveTo(x, y) : pen.lineTo(x, y)));
    pen.stroke();
  }

  /** Runs of points with no gap between them, as places. */
  runs({ points, gap = Infinity }) {
    const runs = [];
    let last = -Infinity;
    for (const [at, value] of points) {
      if (runs.length === 0 || at - last > gap) runs.push([]);
      runs.at(-1).push([this.x(at), this.y(value)]);
      last = at;
    }
    return runs;
  }

  line(line) {
    const { pen } = this;
    pen.save();
    pen.lineJoin = "round";
    pen.lineCap = line.dash ? "butt" : "round";
    pen.strokeStyle = this.colour(line.colour);
    for (const run of this.runs(line)) {
      if (line.fill) {
        pen.fillStyle = this.colour(line.fill);
        pen.beginPath();
        pen.moveTo(run[0][0], this.bottom);
        run.forEach(([x, y]) => pen.lineTo(x, y));
        pen.lineTo(run.at(-1)[0], this.bottom);
        pen.fill();
      }
      pen.lineWidth = line.width ?? 1.5;
      pen.setLineDash(line.dash ?? []);
      // One point alone is a dot.
      this.stroke(run.length > 1 ? run : [run[0], [run[0][0] + 0.01, run[0][1]]]);
    }
    pen.restore();
  }

  /** Each line's name where it ends, moved apart where they would cover each other. */
  names() {
    const { pen, picture } = this;
    const ends = picture.lines.filter((line) => line.name && line.points.length > 0);
    const labels = ends.map((line) => ({ line, y: this.y(line.points.at(-1)[1]) })).sort((a, b) => a.y - b.y);
    const APART = 13;
    for (let at = 1; at < labels.length; at += 1) labels[at].y = Math.max(labels[at].y, labels[at - 1].y + APART);
    let lowest = this.bottom - 4;
    for (const label of labels.toReversed()) {
      label.y = Math.min(label.y, lowest);
      lowest = label.y - APART;
    }
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    for (const { line, y } of labels) {
      pen.fillStyle = this.colour(line.colour);
      pen.fillText(line.name, this.right + 6, y);
    }
  }

  flag({ at, tone }) {
    const { pen } = this;
    const x = this.sharp(this.x(at));
    pen.save();
    pen.strokeStyle = pen.fillStyle = this.colour(`--${tone}`);
    pen.setLineDash([3, 3]);
    this.stroke([[x, this.top + 6], [x, this.bottom]]);
    pen.beginPath();
    pen.moveTo(x - 4, this.top - 2);
    pen.lineTo(x + 4, this.top - 2);
    pen.lineTo(x, this.top + 6);
    pen.fill();
    pen.restore();
  }

  pointer(share) {
    const { pen, picture } = this;
    const x = this.sharp(this.left + share * (this.right - this.left));
    pen.strokeStyle = this.colour("--muted");
    this.stroke([[x, this.top], [x, this.bottom]]);
    for (const line of picture.lines) {
      const point = nearest(line.points, share, picture.x);
      if (!point) continue;
      pen.fillStyle = this.colour(line.colour);
      pen.beginPath();
      pen.arc(this.x(point[0]), this.y(point[1]), 3, 0, 2 * Math.PI);
      pen.fill();
    }
  }
}

/** The point of a line that is nearest to a share of the axis; none if none is near. */
export function nearest(points, share, axis) {
  let best = null;
  let distance = 0.03;
  for (const point of points) {
    const off = Math.abs(axis.place(point[0]) - share);
    if (off <= distance) [best, distance] = [point, off];
  }
  return best;
}
