// Histograms as replicas tell them: [[upper bound in ns, count], ...], ascending, buckets that are empty left out.

/** What was counted between two moments; null if something was counted back, as after a restart. */
export function since(before, now) {
  const had = new Map(before);
  const counted = [];
  for (const [bound, count] of now) {
    const more = count - (had.get(bound) ?? 0);
    had.delete(bound);
    if (more < 0) return null;
    if (more > 0) counted.push([bound, more]);
  }
  // A bucket that was there and is gone was counted back as well.
  return had.size === 0 ? counted : null;
}

/** Several as one. */
export function sum(histograms) {
  const counts = new Map();
  for (const histogram of histograms) {
    for (const [bound, count] of histogram) counts.set(bound, (counts.get(bound) ?? 0) + count);
  }
  return [...counts].sort((a, b) => a[0] - b[0]);
}

/** How many were counted. */
export function total(histogram) {
  return histogram.reduce((events, [, count]) => events + count, 0);
}

/** No more than this many nanoseconds for so many percent of what was counted; null of nothing. */
export function percentile(histogram, percent) {
  const rank = Math.max(1, Math.ceil((percent / 100) * total(histogram) - 1e-9));
  let counted = 0;
  for (const [bound, count] of histogram) {
    counted += count;
    if (counted >= rank) return bound;
  }
  return null;
}

/**
 * Points of the curve that HDR histograms are drawn as: how far to the right, and nanoseconds. To the right by one is to
 * leave out nine tenths of what is left: 0 is everything, 1 is 90 percent, 2 is 99 percent. It ends where one event is
 * left, since what lies beyond was not measured.
 */
export function curve(histogram) {
  const events = total(histogram);
  if (events === 0) return [];
  const points = [[0, histogram[0][0]]];
  let counted = 0;
  for (const [bound, count] of histogram) {
    counted += count;
    points.push([Math.log10(events / Math.max(1, events - counted)), bound]);
  }
  return points;
}

/** The percentile at a place of that axis, as it is written there. */
export function percentileMark(right) {
  if (right === 0) return "0";
  return right === 1 ? "90" : `99${right > 2 ? "." : ""}${"9".repeat(right - 2)}`;
}
