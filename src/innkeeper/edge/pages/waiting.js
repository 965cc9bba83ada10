
// Follows the tenant on its way up and opens it when it is ready. It asks from memory only: asking wakes nobody.
(() => {
  "use strict";
  const main = document.querySelector("main");
  const step = main.querySelector(".step");
  const time = main.querySelector(".time");
  const bars = [...main.querySelectorAll(".way i")];
  const opened = Date.now();
  const ASK_MS = 10_000, OVER_MS = 15 * 60_000, REFUSED_MS = 5_000, SLOW_S = 60;
  let began = opened - 1000 * Number(main.dataset.elapsed);
  let usual = main.dataset.usual ? Number(main.dataset.usual) : null;
  let misses = 0;
  let next;

  const coming = () => ["queued", "starting", "ready"].includes(main.dataset.state);
  const elapsed = () => Math.max(0, Math.round((Date.now() - began) / 1000));
  const span = (s) => (s < 60 ? `${s} s` : `${Math.floor(s / 60)} min ${s % 60} s`);

  function tick() {
    const about = usual === null ? "" : `, usually about ${span(Math.max(1, Math.round(usual)))}`;
    time.textContent = `${span(elapsed())} so far${about}`;
    if (misses > 2) main.dataset.note = "lost";
    else main.dataset.note = coming() && elapsed() > Math.max(SLOW_S, 3 * (usual ?? 0)) ? "slow" : "";
  }

  function show(told) {
    const text = told.position === null ? told.step : `${told.step}: ${told.position} of ${told.of}`;
    if (step.textContent !== text) step.textContent = text; // else it would be read out again and again
    main.dataset.state = told.state;
    began = Math.min(began, Date.now() - 1000 * told.elapsed_s);
    usual = told.usual_s ?? usual;
    const now = bars.findIndex((bar) => bar.dataset.step === told.step);
    bars.forEach((bar, at) => (bar.className = now < 0 || at < now ? "done" : at === now ? "now" : ""));
    document.title = coming() ? `${told.step} · ${main.dataset.host}` : main.dataset.host;
  }

  async function look() {
    try {
      const asked = { cache: "no-store", headers: { Accept: "application/json" }, signal: AbortSignal.timeout?.(ASK_MS) };
      const answer = await fetch("/.innkeeper/waking", asked);
      if ([401, 403, 404].includes(answer.status)) {
        return then(REFUSED_MS, () => location.reload()); // the gate says why, on a page of its own
      }
      if (!answer.ok) throw new Error(answer.status);
      show(await answer.json());
      misses = 0;
    } catch {
      misses += 1;
    }
    tick();
    if (main.dataset.state === "ready") location.reload();
    else if (Date.now() - opened > OVER_MS) over();
    else then(pause() * (0.9 + 0.2 * Math.random()), look); // so that many pages don't march in step
  }

  function then(ms, what) {
    clearTimeout(next); // one look at a time is planned, however many are under way
    next = setTimeout(what, ms);
  }

  function pause() {
    const age = Date.now() - opened;
    return coming() ? Math.min(5_000, Math.max(500, age / 60)) : Math.min(30_000, Math.max(5_000, age / 20));
  }

  function over() {
    clearInterval(ticking);
    document.removeEventListener("visibilitychange", seen);
    main.dataset.note = "over";
    document.title = main.dataset.host;
  }

  function seen() {
    if (!document.hidden) look();
  }

  const ticking = setInterval(tick, 1000);
  document.addEventListener("visibilitychange", seen);
  then(500, look);
})();
