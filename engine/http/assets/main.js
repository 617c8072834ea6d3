// The dashboard: asks /v1/cluster each second, remembers five minutes of it, and shows it.

import { alarms, changes, merged } from "./chronicle.js";
import { attribute, byId, glyph, make, render, text } from "./dom.js";
import { clock, count, NONE } from "./format.js";
import { Model } from "./model.js";
import { banners, summary } from "./notices.js";
import { poll } from "./poll.js";
import { isQuarantined, withoutOwn } from "./states.js";
import { Disks } from "./view_disks.js";
import { Domains } from "./view_domains.js";
import { Load } from "./view_load.js";
import { Replicas } from "./view_replicas.js";
import { Shards } from "./view_shards.js";

const EVERY_MS = 1000;
const TIMEOUT_MS = 1500;

const model = new Model();
const views = {
  replicas: new Replicas(byId("replicas")),
  load: new Load(),
  disks: new Disks(),
  domains: new Domains(byId("domains")),
  shards: new Shards(byId("shards")),
};

/** Whose numbers were asked for: a replica, or null for whoever leads. */
let chosen = null;
/** Since when and why the replica that serves the page does not answer: { since_ms, problem }. */
let lost = null;
let chronicle = [];

function take({ document: cluster, problem }) {
  const now_ms = Date.now();
  if (cluster) {
    if (lost && model.cluster) note({ at_ms: now_ms, replica: cluster.seen_by, tone: "good", text: "answers this page again" });
    if (model.cluster) chronicle = merged(chronicle, changes(model.cluster, cluster, now_ms));
    chronicle = merged(chronicle, alarms(cluster));
    lost = null;
    model.take(cluster, now_ms);
  } else {
    if (!lost && model.cluster) {
      note({ at_ms: now_ms, replica: model.cluster.seen_by, tone: "bad", text: "does not answer this page" });
    }
    lost ??= { since_ms: now_ms, problem };
  }
  show();
}

function note(entry) {
  chronicle = merged(chronicle, [entry]);
}

function show() {
  const { cluster } = model;
  attribute(document.body, "data-look", lost ? "lost" : cluster ? "live" : "waiting");
  showTop(cluster);
  const leaderless_ms = model.leaderless_ms === null ? 0 : model.at_ms - model.leaderless_ms;
  showBanners(banners(cluster, lost, leaderless_ms));
  showChronicle();
  if (!cluster) return;
  if (lost) {
    views.replicas.update(withoutOwn(cluster, lost.problem, Date.now() - model.at_ms), model);
    return;
  }
  const source = model.source(chosen);
  const status = cluster.replicas.find((replica) => replica.replica === source)?.status;
  const view = { chosen, source, status, sourceName: nameOf(source), flags: flags() };
  for (const element of document.querySelectorAll(".source-name")) text(element, view.sourceName);
  showSource(cluster);
  showIntegrity(cluster);
  views.replicas.update(cluster, model);
  views.load.update(cluster, model, view);
  views.disks.update(model, view);
  views.domains.update(model, view);
  views.shards.update(cluster, model, view);
}

function nameOf(source) {
  const leads = model.ticks.at(-1)?.leader === source;
  return `replica ${source}${leads ? ", which leads" : ""}`;
}

function flags() {
  return chronicle.filter((entry) => entry.tone !== "good").map(({ at_ms, tone }) => ({ at: at_ms, tone }));
}

function showTop(cluster) {
  const { tone, text: words } = summary(cluster, lost);
  attribute(byId("summary"), "data-tone", tone);
  render(byId("summary"), `${tone} ${words}`, () => [glyph(tone), make("span", {}, words)]);
  document.title = `${{ good: "", busy: "… ", bad: "✕ ", grave: "⚠ " }[tone]}${words} · Assize`;
  attribute(byId("live"), "data-tone", lost ? "bad" : cluster ? "good" : "busy");
  text(byId("live-text"), lost ? `as of ${clock(model.at_ms)}` : cluster ? `live ${clock(model.at_ms)}` : "asking");
  if (!cluster) return;
  const status = cluster.replicas.find((replica) => replica.replica === cluster.seen_by)?.status;
  text(byId("cluster"), status?.cluster?.replace(/^.+(.{8})$/, "…$1") ?? NONE);
  attribute(byId("cluster"), "title", status?.cluster ?? "");
  text(byId("seen-by"), `replica ${cluster.seen_by}`);
  text(byId("version"), status?.version ? `Assize ${status.version}` : "");
}

function showBanners(all) {
  const parent = byId("banners");
  // As long as they say the same they are left alone, so that nothing is read aloud again, and what is selected stays.
  render(parent, JSON.stringify(all), () => all.map(banner));
}

function banner({ tone, title, texts, commands, links }) {
  const paragraphs = texts.map((words) => make("p", {}, words));
  const lines = commands.length ? [make("pre", {}, make("code", {}, commands.join("\n")))] : [];
  const anchors = links.map((link) => make("a", { href: link.to }, link.text));
  const ways = anchors.length ? [make("p", { class: "ways" }, ...anchors)] : [];
  const body = make("div", {}, make("h2", {}, title), ...paragraphs, ...lines, ...ways);
  return make("section", { class: "banner", "data-tone": tone }, glyph(tone), body);
}

function showChronicle() {
  const words = ({ replica, text: said }) => (replica === null ? said : `Replica ${replica} ${said}`);
  const item = (entry) =>
    make("li", { "data-tone": entry.tone }, make("time", {}, clock(entry.at_ms)), glyph(entry.tone), make("span", { title: words(entry) }, words(entry)));
  const key = chronicle.map((entry) => entry.at_ms + words(entry)).join();
  const nothing = () => make("li", { class: "nothing" }, "Nothing yet. Changes of the leader, losses, restarts and alarms show here.");
  render(byId("chronicle"), key || "nothing", () => (chronicle.length ? chronicle.map(item) : [nothing()]));
}

function showSource(cluster) {
  const options = [[null, "the leader"], ...cluster.replicas.map(({ replica }) => [replica, String(replica)])];
  byId("source").hidden = cluster.replicas.length === 1;
  render(byId("source"), `source ${cluster.replicas.length}`, () => [
    make("legend", {}, "Numbers of"),
    ...options.map(([replica, name]) => {
      const input = make("input", { type: "radio", name: "source", "aria-label": replica === null ? name : `replica ${name}` });
      input.checked = replica === chosen;
      input.addEventListener("change", () => {
        chosen = replica;
        show();
      });
      return make("label", {}, input, make("span", {}, name));
    }),
  ]);
}

function showIntegrity(cluster) {
  const statuses = cluster.replicas.map((replica) => replica.status).filter(Boolean);
  const told = statuses.filter((status) => status.divergences !== undefined);
  const divergences = told.length ? Math.max(...told.map((status) => status.divergences)) : undefined;
  const tile = byId("tile-divergences");
  text(tile, count(divergences));
  const wrong = divergences > 0 || cluster.replicas.some(isQuarantined);
  attribute(tile.closest(".tile"), "data-tone", wrong ? "grave" : null);
  const { replicas, copies } = statuses[0] ?? {};
  const alone = replicas === 1;
  text(byId("note-copies"), alone ? "nothing to compare" : copies ? `${copies} of ${replicas} must agree` : NONE);
  const agree = copies ? `${copies} of ${replicas} must have computed the same before it is published` : "";
  text(byId("replicas-note"), alone ? "A cluster of one: when it is down, so is everything." : agree);
}

poll("/v1/cluster", EVERY_MS, TIMEOUT_MS, take);
show();
