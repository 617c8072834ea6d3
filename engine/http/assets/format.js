// Numbers as text, for people. What is missing is a dash, never NaN or undefined.

/** What stands where nothing is known. */
export const NONE = "–";

/** Between groups of digits, and before units: narrow, and no line breaks at it. */
const THIN = "\u202f";

const known = (value) => typeof value === "number" && Number.isFinite(value);

/** A whole number in groups of three digits. */
export function count(value) {
  if (!known(value)) return NONE;
  const digits = Math.round(Math.abs(value)).toString();
  return (value < 0 ? "−" : "") + digits.replace(/\B(?=(\d{3})+$)/g, THIN);
}

/** How many a second: whole, or with one digit where there are few. */
export function rate(value) {
  if (!known(value)) return NONE;
  return value > 0 && value < 9.95 ? value.toFixed(1) : count(value);
}

/** Three significant digits. */
function three(value) {
  if (value >= 99.95) return count(value);
  return value.toFixed(value >= 9.995 ? 1 : 2);
}

/** A time from nanoseconds, in the unit that fits. */
export function latency(ns) {
  if (!known(ns)) return NONE;
  if (ns < 1e6 * 0.9995) return `${three(ns / 1e3)}${THIN}µs`;
  if (ns < 1e9 * 0.9995) return `${three(ns / 1e6)}${THIN}ms`;
  return `${three(ns / 1e9)}${THIN}s`;
}

/** The same for an axis, whose marks are round. */
export function latencyMark(ns) {
  if (ns < 1e6) return `${round(ns / 1e3)}${THIN}µs`;
  if (ns < 1e9) return `${round(ns / 1e6)}${THIN}ms`;
  return `${round(ns / 1e9)}${THIN}s`;
}

/** A count for an axis. */
export function countMark(value) {
  if (value >= 1e6) return `${round(value / 1e6)}${THIN}M`;
  if (value >= 1e3) return `${round(value / 1e3)}${THIN}k`;
  return round(value);
}

const round = (value) => String(Number(value.toPrecision(3)));

/** Bytes, in the unit that fits. */
export function bytes(value) {
  if (!known(value)) return NONE;
  let unit = 0;
  for (; value >= 999.5 && unit < 4; unit += 1) value /= 1024;
  const number = unit === 0 ? count(value) : three(value);
  return `${number}${THIN}${["B", "KiB", "MiB", "GiB", "TiB"][unit]}`;
}

/** A share from 0 to 1. */
export function percent(share) {
  if (!known(share)) return NONE;
  const value = share * 100;
  if (value > 0 && value < 0.1) return `<${THIN}0.1${THIN}%`;
  return `${value < 9.95 && value > 0 ? value.toFixed(1) : Math.round(value)}${THIN}%`;
}

/** How long something lasts, in its two largest units. */
export function duration(seconds) {
  if (!known(seconds)) return NONE;
  const whole = Math.max(0, Math.floor(seconds));
  const [d, h, m, s] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60, whole % 60];
  const of = (number, unit) => `${number}${THIN}${unit}`;
  if (d > 0) return `${of(d, "d")} ${of(h, "h")}`;
  if (h > 0) return `${of(h, "h")} ${of(m, "min")}`;
  if (m > 0) return `${of(m, "min")} ${of(s, "s")}`;
  return of(s, "s");
}

/** The time of day. */
export function clock(at_ms) {
  if (!known(at_ms)) return NONE;
  const at = new Date(at_ms);
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}
