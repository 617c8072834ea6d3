"""Chromium without a window, spoken to by its DevTools protocol over a pair of pipes: no port, no driver, no package."""

import base64
import json
import os
import queue
import shlex
import shutil
import subprocess
import threading

# How long anything may take that should happen at once.
DEADLINE_S = 60

# A promise that becomes what the expression is as soon as that is true, or null when the time is over.
UNTIL = """new Promise((done) => {
    const until = performance.now() + %d;
    const look = () => {
        let found = null;
        try { found = (%s); } catch (error) { if (performance.now() > until) throw error; }
        if (found || performance.now() > until) done(found instanceof Node || found || null);
        else setTimeout(look, 25);
    };
    look();
})"""


class Browser:
    """One process of Chromium with a profile of its own, thrown away in the end."""

    def __init__(self, folder):
        program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if program is None:
            raise SystemExit("missing: chromium (Debian package chromium)")
        options = [
            "--headless=new",
            "--remote-debugging-pipe",
            f"--user-data-dir={folder}",
            "--no-first-run",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--hide-scrollbars",
        ]
        if os.geteuid() == 0:
            options.append("--no-sandbox")
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        # It reads from 3 and writes to 4.
        line = f'exec {shlex.join([program, *options])} 3<&{theirs_in} 4>&{theirs_out}'
        self.process = subprocess.Popen(
            ["bash", "-c", line],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.to, self.source = os.fdopen(ours_out, "wb"), os.fdopen(ours_in, "rb")
        self.calls = 0
        self.answers = {}
        self.pages = {}
        self.lock = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        rest = b""
        while part := os.read(self.source.fileno(), 1 << 16):
            *messages, rest = (rest + part).split(b"\0")
            for message in map(json.loads, messages):
                if "id" in message:
                    self.answers[message["id"]].put(message)
                elif message.get("sessionId") in self.pages:
                    self.pages[message["sessionId"]].happened(message["method"], message["params"])

    def call(self, method, session=None, deadline_s=DEADLINE_S, **params):
        """Calls a method of the protocol and returns its result."""
        with self.lock:
            self.calls += 1
            number = self.calls
            answer = self.answers[number] = queue.Queue()
            message = {"id": number, "method": method, "params": params}
            if session:
                message["sessionId"] = session
            self.to.write(json.dumps(message).encode() + b"\0")
            self.to.flush()
        try:
            message = answer.get(timeout=deadline_s)
        except queue.Empty:
            raise AssertionError(f"{method}: no answer from the browser within {deadline_s} s") from None
        finally:
            del self.answers[number]
        if "error" in message:
            raise AssertionError(f"{method}: {message['error']}")
        return message["result"]

    def page(self):
        """A new page, on which everything that goes wrong is noted."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self.pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        return page

    def close(self):
        """Ends it."""
        self.process.terminate()
        try:
            self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Page:
    """A page of a browser."""

    def __init__(self, browser, session):
        self.browser = browser
        self.session = session
        self.requests = {}
        # What went wrong, as (what, text, address of the resource or "").
        self.complaints = []

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def happened(self, method, params):
        """Takes an event of the protocol."""
        if method == "Network.requestWillBeSent":
            self.requests[params["requestId"]] = params["request"]["url"]
        elif method == "Network.loadingFailed" and not params.get("canceled"):
            self.complaints.append(("request", params["errorText"], self.requests.get(params["requestId"], "")))
        elif method == "Network.responseReceived" and params["response"]["status"] >= 400:
            response = params["response"]
            self.complaints.append(("request", f"status {response['status']}", response["url"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("warning", "error"):
            entry = params["entry"]
            self.complaints.append(("log", entry["text"], entry.get("url", "")))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("warning", "error", "assert"):
            words = " ".join(str(part.get("value", part.get("description"))) for part in params["args"])
            self.complaints.append(("console", words, ""))
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            text = details.get("exception", {}).get("description") or details["text"]
            self.complaints.append(("exception", text, details.get("url", "")))

    def open(self, address):
        """Goes to an address and waits until it is loaded."""
        result = self.call("Page.navigate", url=address)
        assert "errorText" not in result, f"{address}: {result['errorText']}"
        self.until("document.readyState === 'complete'", f"{address} is loaded")

    def evaluate(self, expression):
        """What an expression, or the promise that it is, comes to."""
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if details := result.get("exceptionDetails"):
            raise AssertionError(details.get("exception", {}).get("description") or details["text"])
        return result["result"].get("value")

    def until(self, expression, what, within_s=DEADLINE_S - 10):
        """Waits until an expression is true, and returns what it is."""
        found = self.evaluate(UNTIL % (within_s * 1000, expression))
        if not found:
            text = self.evaluate("document.body.innerText")
            raise AssertionError(f"not within {within_s} s: {what}\n{expression}\nthe page says:\n{text}")
        return found

    def look(self, width, height, dark=False, scale=2):
        """Shows it as large as this, light or dark."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        # Two frames: one in which it is laid out anew, and one in which that is drawn.
        self.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def save(self, path):
        """Saves the whole of it as a picture."""
        height = self.evaluate("document.documentElement.scrollHeight")
        width = self.evaluate("innerWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))
