"use strict";
(() => {
  const SPACE = "\u202f", POINTS = 120;
  const all = (selector) => [...document.querySelectorAll(selector)];
  const at = (status, path) => path.split(".").reduce((value, key) => value?.[key], status) ?? 0;

  // The same as in src/site/units.rs.
  const show = {
    n: (n) => String(n).replace(/\B(?=(\d{3})+$)/g, SPACE),
    b: (n) => {
      const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
      let unit = 0, rest = 0;
      for (; n >= 1024 && unit < 6; unit++) [n, rest] = [Math.floor(n / 1024), n % 1024];
      return (unit && n < 100 ? `${n}.${Math.floor(rest * 10 / 1024)}` : n) + SPACE + units[unit];
    },
    t: (ms) => {
      const s = Math.floor(ms / 1000), two = (n) => String(Math.floor(n)).padStart(2, "0");
      return (s >= 86400 ? Math.floor(s / 86400) + "d" + SPACE : "") +
        [s / 3600 % 24, s / 60 % 60, s % 60].map(two).join(":");
    },
  };
  const bits = (n) => {
    const units = ["bit/s", "kbit/s", "Mbit/s", "Gbit/s"];
    let unit = 0;
    for (; n >= 1000 && unit < 3; unit++) n /= 1000;
    return (unit && n < 100 ? n.toFixed(1) : Math.round(n)) + SPACE + units[unit];
  };
  const perSecond = (n) => n < 10 && n % 1 ? n.toFixed(1) : show.n(Math.round(n));

  function graph(tile, value) {
    const points = tile.points ??= [];
    points.push(value);
    if (points.length > POINTS) points.shift();
    const top = Math.max(...points, 1e-9) * 1.05, from = POINTS - points.length;
    const floor = tile.dataset.gauge ? Math.min(...points) * 0.95 : 0;
    const xy = points.map((v, i) => `${from + i},${(30 - 29 * (v - floor) / (top - floor)).toFixed(2)}`);
    tile.querySelector("polyline").setAttribute("points", xy.join(" "));
    tile.querySelector("polygon").setAttribute("points", `${from},30 ${xy.join(" ")} ${POINTS - 1},30`);
  }

  function tiles(now, before) {
    const seconds = before && (now.uptime_ms - before.uptime_ms) / 1000;
    for (const tile of all("[data-gauge]")) graph(tile, at(now, tile.dataset.gauge));
    // After a restart the counters begin at 0: there is no rate.
    if (!(seconds > 0)) return;
    const rate = (path) => Math.max(0, at(now, path) - at(before, path)) / seconds;
    for (const tile of all("[data-rate]")) {
      const { rate: path, bytes, unit, more } = tile.dataset, value = rate(path);
      tile.querySelector("b").textContent = perSecond(value);
      tile.querySelector(".unit").textContent = unit + "/s";
      tile.querySelector(".more").textContent =
        (bytes ? bits(8 * rate(bytes)) : more ? perSecond(rate(more)) + SPACE + tile.dataset.moreUnit + "/s" : "") +
        " · " + show.n(at(now, path)) + " since boot";
      graph(tile, value);
    }
  }

  function update(now, before) {
    for (const cell of all("[data-k]")) {
      const value = at(now, cell.dataset.k);
      cell.textContent = show[cell.dataset.f ?? "n"](value);
      const row = cell.closest("tr");
      if (row) row.className = !value ? "zero" : "alarm" in row.dataset ? "alarm" : "";
    }
    for (const part of all("[data-part]")) {
      const whole = part.dataset.of.split("+").reduce((sum, path) => sum + at(now, path), 0);
      part.style.width = (whole ? 100 * at(now, part.dataset.part) / whole : 0) + "%";
    }
    tiles(now, before);
  }

  let before;
  async function poll() {
    const live = document.getElementById("live");
    try {
      const reply = await fetch("status.json", { cache: "no-store", signal: AbortSignal.timeout(3000) });
      const now = await reply.json();
      update(now, before);
      before = now;
      live.className = "on";
      live.lastElementChild.textContent = "up " + show.t(now.uptime_ms);
    } catch {
      live.className = "off";
      live.lastElementChild.textContent = "no answer";
    }
  }
  (async () => {
    for (;;) {
      if (!document.hidden) await poll();
      await new Promise((done) => setTimeout(done, 1000));
    }
  })();
})();
