// Tests of what the dashboard computes, run in a page that it was served with. Each is a sentence and what must be equal.
(async () => {
  const load = (name) => import(`/assets/${name}.js`);
  const [format, histogram, model, states, notices, chronicle, scale] = await Promise.all(
    ["format", "histogram", "model", "states", "notices", "chronicle", "scale"].map(load),
  );
  const failures = [];
  const plain = (value) => JSON.stringify(value)?.replaceAll("\u202f", " ");
  const equal = (sentence, found, wanted) => {
    if (plain(found) !== plain(wanted)) failures.push(`${sentence}: found ${plain(found)}, wanted ${plain(wanted)}`);
  };

  // Numbers as text.
  equal("digits stand in groups", [0, 999, 1000, 1234567, -1234].map(format.count), ["0", "999", "1 000", "1 234 567", "−1 234"]);
  const missing = [undefined, null, NaN, Infinity, "7"];
  for (const name of ["count", "rate", "latency", "bytes", "percent", "duration", "clock"]) {
    equal(`what is missing is a dash (${name})`, missing.map(format[name]), missing.map(() => "–"));
  }
  equal("small rates have a digit more", [0, 0.25, 9.94, 9.96, 12345.6].map(format.rate), ["0", "0.3", "9.9", "10", "12 346"]);
  equal(
    "latencies have three digits and a unit",
    [0, 1500, 843_200, 999_700, 12_345_678, 999_700_000, 1.5e9, 2e12].map(format.latency),
    ["0.00 µs", "1.50 µs", "843 µs", "1.00 ms", "12.3 ms", "1.00 s", "1.50 s", "2 000 s"],
  );
  equal("bytes have a unit", [0, 1023, 1024, 16 * 2 ** 30].map(format.bytes), ["0 B", "1.00 KiB", "1.00 KiB", "16.0 GiB"]);
  equal("shares are percent", [0, 0.0004, 0.034, 0.5, 1].map(format.percent), ["0 %", "< 0.1 %", "3.4 %", "50 %", "100 %"]);
  equal("durations have two units", [5, 65, 3700, 90000].map(format.duration), ["5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"]);

  // Histograms.
  const { since, sum, percentile, curve, percentileMark } = histogram;
  const counts = [[10, 50], [20, 40], [40, 9], [80, 1]];
  equal("percentiles are bounds", [0, 50, 50.1, 90, 99, 99.9, 100].map((p) => percentile(counts, p)), [10, 10, 20, 20, 40, 80, 80]);
  equal("nothing has no percentile", percentile([], 50), null);
  equal("what came in between", since([[10, 50], [40, 2]], counts), [[20, 40], [40, 7], [80, 1]]);
  equal("counted back is a restart", [since([[10, 51]], counts), since([[5, 1]], counts)], [null, null]);
  equal("sums", sum([[[20, 1]], [[10, 2], [20, 3]], []]), [[10, 2], [20, 4]]);
  equal("a curve ends where one event is left", curve(counts).map(([at, ns]) => [Number(at.toFixed(3)), ns]), [
    [0, 10], [0.301, 10], [1, 20], [2, 40], [2, 80],
  ]);
  equal("marks of its axis", [0, 1, 2, 3, 5].map(percentileMark), ["0", "90", "99", "99.9", "99.999"]);

  // Steps between two statuses.
  const status = (uptime_s, events, counted) => ({
    uptime_s, state: "leading", leads: true, ready: true, ballot_round: 2, slots: { chosen: 5, published: 5, formed: 5 },
    shards: [{ shard: 0, events, executed_slot: 5 }, { shard: 1, events: 10 }],
    domains: [{ id: 2, name: "devices", version: 1, applied: events / 2, rejected: 3 }],
    stages: [{ stage: "accepted_to_published", counts: [[1000, counted]] }],
  });
  const { Model, stepBetween } = model;
  equal("a step is a difference by the replica's clock", stepBetween(status(10, 100, 5), status(12, 300, 9), 1), {
    span_s: 2,
    counters: { events: 200, "shard 0 events": 200, "shard 1 events": 0, "domain devices applied": 100, "domain devices rejected": 0 },
    stages: { accepted_to_published: [[1000, 4]] },
  });
  equal("another process is no step", stepBetween(status(90, 5000, 50), status(3, 30, 2), 1), null);
  equal("nor is it one that has run longer", stepBetween(status(3, 5000, 50), status(4, 30, 2), 1), null);
  equal("the same status is no step", stepBetween(status(10, 100, 5), status(10, 100, 5), 1), null);
  equal("fields may be missing", stepBetween({}, {}, 1), { span_s: 1, counters: {}, stages: {} });

  // What a page remembers.
  const of = (replica, status, more) => ({ replica, http: `h:${replica}`, reached: true, age_ms: 0, problem: null, status, ...more });
  const cluster = (...replicas) => ({ seen_by: 0, replicas });
  const following = (uptime_s, events, counted) => ({ ...status(uptime_s, events, counted), leads: false, state: "following" });
  const memory = new Model();
  memory.take(cluster(of(0, status(1, 0, 0)), of(1, following(1, 0, 0))), 1000);
  memory.take(cluster(of(0, status(2, 100, 10)), of(1, following(2, 50, 10))), 2000);
  equal("rates are of the leader", [memory.rate(null, "events", 5000), memory.rate(1, "events", 5000)], [100, 50]);
  memory.take(cluster(of(0, null, { reached: false }), of(1, { ...status(3, 300, 20), ballot_round: 3 })), 3000);
  equal("who led then and who leads now", memory.rates(null, "events"), [[2000, 100], [3000, 250]]);
  equal("whose numbers are shown", [memory.source(null), memory.source(0)], [1, 0]);
  memory.take(cluster(of(0, status(1, 0, 0)), of(1, { ...status(1, 9999, 20), ballot_round: 4 })), 3500);
  equal("what a new process evaluates first is no rate", memory.rates(1, "events"), [[2000, 50], [3000, 250]]);
  equal("histograms add up", memory.histogram(1, "accepted_to_published", 5000), [[1000, 20]]);
  memory.take(cluster(of(0, status(1, 0, 0)), of(1, status(400, 9000, 90))), 400_000);
  equal("a page that was hidden draws no rate of all that time", memory.rates(1, "events"), []);
  equal("five minutes are kept", memory.ticks.length, 1);
  equal("nothing is known", new Model().rate(null, "events", 1000), undefined);

  // States and what is said of them.
  const { stateOf, leaderOf } = states;
  const quarantined = { ...following(5, 1, 1), quarantined: true, quarantine: "slot 7 differs" };
  equal(
    "states",
    [
      of(0, status(1, 0, 0)), of(0, following(1, 0, 0)), of(0, null), of(0, quarantined), of(0, { ready: true }), of(0, { ready: false }),
      of(0, { leads: true }), of(0, status(1, 0, 0), { reached: false }), of(0, null, { reached: false }),
      of(0, null, { reached: false, problem: "refused" }), of(0, status(1, 0, 0), { age_ms: 9000 }),
    ].map(stateOf),
    [
      "leading", "following", "unknown", "quarantined", "following", "recovering",
      "leading", "unreachable", "unknown", "unreachable", "unreachable",
    ],
  );
  equal("of two that lead, the later", leaderOf(cluster(of(0, status(1, 0, 0)), of(1, { ...status(1, 0, 0), ballot_round: 3 }))), 1);
  const dark = of(1, null, { reached: false, http: null, problem: "it is not asked by HTTP" });
  equal("without an address it is not known to be down", stateOf(dark), "unknown");
  const led = { ...following(1, 0, 0), leader: 1 };
  equal("who is not heard leads by the word of others", leaderOf(cluster(of(0, led), dark)), 1);
  equal("not so if it is known not to", [dark, of(1, following(1, 0, 0)), of(1, null, { reached: false, problem: "refused" })].map(
    (other) => leaderOf(cluster(of(0, led), other))), [1, null, null]);
  const other = new Model();
  other.take(cluster(of(0, led), dark), 1000);
  equal("then the numbers are of one that is heard", [other.source(null), other.leaderless_ms], [0, null]);
  const good = cluster(of(0, status(1, 0, 0)), of(1, following(1, 0, 0)), of(2, following(1, 0, 0)));
  const wrong = cluster(good.replicas[0], good.replicas[1], of(2, quarantined, { reached: false }));
  const refused = { reached: false, problem: "refused" };
  const two = cluster(good.replicas[0], of(1, null, refused), of(2, null, refused));
  const ownLost = states.withoutOwn(good, "no connection", 1500).replicas;
  equal("who serves the page is lost, the others are not", ownLost.map(stateOf), ["unreachable", "following", "following"]);
  const { banners, summary } = notices;
  const titles = (cluster, lost, leaderless_ms = 0) => banners(cluster, lost, leaderless_ms).map(({ title }) => title);
  equal("nothing to tell", [titles(good, null), summary(good, null).text], [[], "All 3 in order"]);
  equal("a quarantine stays told when it is not heard", titles(wrong, null), ["Replica 2 is quarantined"]);
  equal("why, is told", banners(wrong, null, 0)[0].texts[0].startsWith("Slot 7 differs."), true);
  equal("it is the summary, too", summary(wrong, null), { tone: "grave", text: "Quarantined: replica 2" });
  const divergent = cluster(of(0, { ...status(1, 0, 0), divergences: 2 }), good.replicas[1]);
  const found = cluster(divergent.replicas[0], good.replicas[1], of(2, quarantined));
  equal("who is quarantined says enough", titles(found, null), ["Replica 2 is quarantined"]);
  equal("a divergence is told", titles(divergent, null), ["Replica 0 has found 2 divergences"]);
  const alone = cluster(of(0, following(1, 0, 0)), two.replicas[1], two.replicas[2]);
  equal("an election is no alarm", titles(alone, null, 1000), []);
  equal("to have no leader for long is", titles(alone, null, 3000), ["Nobody leads: no event is taken or answered"]);
  equal("who was not heard, is told", summary(cluster(of(0, led), dark), null), { tone: "busy", text: "Not heard: replica 1" });
  equal("who is lost, is told", summary(two, null), { tone: "bad", text: "Unreachable: replicas 1, 2" });
  const lost = { since_ms: 1000, problem: "no connection" };
  equal("a lost page is told", titles(good, lost), ["Replica 0, which serves this page, does not answer"]);
  equal("with ways to the others", banners(good, lost, 0)[0].links.map(({ to }) => to), ["http://h:1/", "http://h:2/"]);
  equal("before the first answer", [titles(null, null), summary(null, null).text, titles(null, lost).length], [[], "Asking", 1]);

  // What happened.
  const { changes, merged } = chronicle;
  const said = (before, now) => changes(before, now, 1).map(({ replica, text }) => `${replica} ${text}`);
  equal("nothing happened", said(good, good), []);
  equal("two are lost", said(good, two), ["1 lost: refused", "2 lost: refused"]);
  equal("they come back, and one leads", said(alone, good), ["1 is heard again", "2 is heard again", "0 leads, in round 2"]);
  equal("a quarantine", said(good, wrong), ["2 is quarantined"]);
  const entry = (at_ms, text) => ({ at_ms, replica: 0, text });
  const texts = merged([entry(1, "a")], [entry(1, "a"), entry(2, "b")]).map(({ text }) => text);
  equal("each once, the newest first", texts, ["b", "a"]);
  const alarm = (at_ms) => ({ at_ms, replica: 1, tone: "grave", text: "says: x", alarm: true });
  const times = merged([alarm(1), entry(2, "b")], [alarm(5), alarm(3)]).map(({ at_ms }) => at_ms);
  equal("an alarm told again and again stands where it was told last", times, [5, 2]);

  // Axes.
  equal("a linear axis has round marks", scale.linear(167_000, 4).marks, [0, 50_000, 100_000, 150_000, 200_000]);
  const logarithmic = scale.logarithmic(4e6, 5e7);
  equal("a logarithmic axis is from mark to mark", [logarithmic.min, logarithmic.max, logarithmic.marks.includes(1e7)], [2e6, 5e7, true]);
  equal("it has ten times between its ends", scale.logarithmic(5e6, 5e6).max / scale.logarithmic(5e6, 5e6).min >= 9, true);
  equal("places are shares", [2e6, 1e7, 5e7, 9e9].map((ns) => Number(logarithmic.place(ns).toFixed(2))), [0, 0.5, 1, 1]);
  equal("a time axis is as short as it may", [30e3, 90e3, 299e3].map((ms) => scale.time(0, ms).marks.length), [5, 5, 6]);
  return failures;
})()
