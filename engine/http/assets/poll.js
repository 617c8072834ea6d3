// Asks one address each second, while somebody looks.

/**
 * Calls `take` with { document } or { problem } after every question, and asks again a second after the last one was
 * asked, or at once if its answer took longer. Stops while the page is hidden.
 */
export function poll(address, every_ms, timeout_ms, take) {
  let asking = false;
  let timer = null;
  const ask = async () => {
    if (asking || document.hidden) return;
    asking = true;
    clearTimeout(timer);
    const began = performance.now();
    try {
      take(await answer(address, timeout_ms));
    } finally {
      // A fault in what is shown shows in the console, and the next answer may be shown.
      asking = false;
      timer = setTimeout(ask, Math.max(0, began + every_ms - performance.now()));
    }
  };
  document.addEventListener("visibilitychange", ask);
  ask();
}

async function answer(address, timeout_ms) {
  try {
    const response = await fetch(address, { cache: "no-store", signal: AbortSignal.timeout(timeout_ms) });
    if (!response.ok) return { problem: `it answered ${response.status}` };
    return { document: await response.json() };
  } catch (error) {
    const late = error.name === "TimeoutError";
    return { problem: late ? `no answer within ${timeout_ms / 1000} s` : "no connection" };
  }
}
