// Axes: from values to places, and where their marks are.

/** A linear axis from 0 to a little above `max`, with about `marks` marks at round numbers. */
export function linear(max, marks) {
  const rough = Math.max(max, 1e-9) / marks;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough * 0.999) * power;
  const top = Math.max(1, Math.ceil((max / step) * 1.0001)) * step;
  const at = [];
  for (let mark = 0; mark <= top * 1.0001; mark += step) at.push(Number(mark.toPrecision(6)));
  return { min: 0, max: top, marks: at, place: (value) => Math.min(1, Math.max(0, value / top)) };
}

/** Spans that a time axis may have, each with the steps between its marks, in seconds. */
const SPANS = [
  [60, 15],
  [120, 30],
  [300, 60],
];

/** An axis of the time up to `to_ms`: as long as there is something to show, and as short as that allows. */
export function time(from_ms, to_ms) {
  const [span_s, step_s] = SPANS.find(([seconds]) => to_ms - from_ms <= seconds * 1000) ?? SPANS.at(-1);
  const marks = [];
  for (let ago = span_s; ago >= 0; ago -= step_s) marks.push(to_ms - ago * 1000);
  return { min: to_ms - span_s * 1000, max: to_ms, marks, place: (at) => Math.max(0, 1 - (to_ms - at) / (span_s * 1000)) };
}

/** A logarithmic axis around the values from `min` to `max`, at least a factor of ten, from mark to mark. */
export function logarithmic(min, max) {
  const decades = Math.max(1, Math.log10(max / min));
  const factors = decades > 2.5 ? [1] : decades > 1.5 ? [1, 3] : [1, 2, 5];
  const marks = [];
  for (let decade = Math.floor(Math.log10(min)) - 1; decade <= Math.ceil(Math.log10(max)) + 1; decade += 1) {
    for (const factor of factors) marks.push(Number(`${factor}e${decade}`));
  }
  let first = marks.findLastIndex((mark) => mark <= min * 1.001);
  let last = marks.findIndex((mark) => mark >= max * 0.999);
  if (marks[last] < marks[first] * 9) last = Math.min(last + 1, marks.length - 1);
  if (marks[last] < marks[first] * 9) first = Math.max(first - 1, 0);
  if (marks[last] < marks[first] * 9) last = Math.min(last + 1, marks.length - 1);
  const [low, high] = [marks[first], marks[last]];
  const span = Math.log10(high / low);
  const place = (value) => Math.min(1, Math.max(0, Math.log10(Math.max(value, low) / low) / span));
  return { min: low, max: high, marks: marks.slice(first, last + 1), place };
}
