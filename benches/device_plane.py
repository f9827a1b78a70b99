#!/usr/bin/env python3
"""The device plane beside nginx and the bare stack, on loopback, in one run: rates, and CPU of the server
a request. Prints each round, the medians as ratios, and what docs/speed.md promises; exit 1 where a
promise does not hold. `benches/run` builds what it needs.

--dialtone FILE --floor FILE --bootstorm FILE  the programs
--rounds N (3)  --many N (100000)  --folder DIR (a temporary one beside the repository: a real disk)
--only tls|plain|many  one part alone
"""
import argparse, glob, json, os, re, shutil, signal, statistics, subprocess, sys, tempfile, time

DEVICES = 1000
# The first unit that asks over plain HTTP.
PLAIN = 500_001
AGENT = "Yealink SIP-T46S 66.86.0.15 {mac:}"
OUI = "001565"


def cpu(pid):
    """CPU seconds of a process with its children, to the nanosecond."""
    pids = [pid] + [int(child) for child in open(f"/proc/{pid}/task/{pid}/children").read().split()]
    total = 0
    for one in pids:
        for task in glob.glob(f"/proc/{one}/task/*/schedstat"):
            try:
                total += int(open(task).read().split()[0])
            except OSError:
                pass
    return total / 1e9


def resident(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read())[1]) / 1024


def inventory(first, count, lines):
    columns = ["mac", "vendor", "model", "site", "sip_user", "sip_password", "sip_server", "display_name"]
    for line in range(2, lines + 1):
        columns += [f"line{line}_{name}" for name in ("sip_user", "sip_password", "sip_server", "display_name")]
    rows = [",".join(columns + ["admin"])]
    for n in range(first, first + count):
        row = [f"{OUI}{n:06x}", "yealink", "T46S", "hq"]
        for line in range(1, lines + 1):
            row += [f"u{n}x{line}", f"secret-{n}-{line}", "pbx1.example.net", f"User {n} line {line}"]
        rows.append(",".join(row + [f"admin-{n}"]))
    return "\n".join(rows) + "\n"


class Dialtone:
    def __init__(self, program, folder, threads):
        self.program, self.folder = program, folder
        self.file = f"{folder}/dialtone.toml"
        open(self.file, "w").write(
            f'data = "{folder}/data"\nprofiles = ["builtin:"]\n'
            'public_url = "https://127.0.0.1:18441"\npublic_http_url = "http://127.0.0.1:18081"\n'
            '[listen]\nhttps = ["127.0.0.1:18441"]\nhttp = ["127.0.0.1:18081"]\nadmin = []\n'
            '[[site]]\nname = "hq"\nprefixes = ["127.0.0.0/8"]\ncorroborate = "prefix"\n'
            '[[waiver]]\nsite = "hq"\nmodels = ["T46S"]\nallow = "credential-over-plain"\n'
            'until = "2099-01-01"\nwhy = "to measure the plain transport"\n')
        self.threads = threads
        self.start()

    def start(self):
        began = time.monotonic()
        environment = dict(os.environ, DIALTONE_LOG="warn", TOKIO_WORKER_THREADS=str(self.threads))
        self.process = subprocess.Popen([self.program, "serve", "--config", self.file], env=environment,
                                        stdout=subprocess.PIPE, stderr=open(f"{self.folder}/log", "a"), text=True)
        line = self.process.stdout.readline()
        if not line.startswith("ready "):
            sys.exit(f"dialtone did not start: {open(f'{self.folder}/log').read()[-2000:]}")
        self.pid, self.took = self.process.pid, time.monotonic() - began

    def call(self, *words):
        done = subprocess.run([self.program, "--config", self.file, *words], capture_output=True, text=True)
        if done.returncode not in (0, 3):
            sys.exit(f"dialtone {' '.join(words)}: {done.stderr[-2000:]}")
        return done.stdout

    def load(self, first, count, lines=10):
        name = f"{self.folder}/list.csv"
        open(name, "w").write(inventory(first, count, lines))
        self.call("import", name, "--map", "var.admin_password=admin")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


class Storm:
    def __init__(self, program):
        self.program = program

    def __call__(self, name, pid, url, boots, first=1, pipe=False, expect=None):
        words = [self.program, "--url", url, "--devices", str(DEVICES), "--first", str(first), "--boots", str(boots),
                 "--concurrency", "64", "--src", "127.8.0.1+1000", "--oui", OUI, "--agent", AGENT, "--json"]
        words += ["--pipe"] if pipe else []
        words += ["--expect", expect] if expect else []
        before = cpu(pid)
        done = subprocess.run(words, capture_output=True, text=True)
        used = cpu(pid) - before
        found = re.search(r'^\{"requests".*\}$', done.stdout, re.M)
        if not found:
            sys.exit(f"{name}: {done.stdout[-1000:]}{done.stderr[-1000:]}")
        told = json.loads(found[0])
        if told["errors"]:
            sys.exit(f"{name}: {told['errors']} of {told['requests']} failed\n{done.stdout[-1500:]}")
        row = {"rate": told["rps"], "cpu": used / told["requests"] * 1e6, "p99": told["p99_ms"]}
        print(f"  {name:34} {row['rate']:8.0f}/s  cpu {row['cpu']:7.1f} us  p99 {row['p99']:7.1f} ms", flush=True)
        return row


def nginx(folder, threads, chain, key):
    os.makedirs(f"{folder}/www")
    open(f"{folder}/www/phone.cfg", "wb").write(bytes(97 + n % 26 for n in range(6144)))
    temporary = "".join(f"{name}_temp_path {folder}/{name};" for name in
                        ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    serve = f"location / {{ root {folder}/www; rewrite ^ /phone.cfg break; default_type text/plain; }}"
    open(f"{folder}/nginx.conf", "w").write(
        f"worker_processes {threads}; pid {folder}/pid; error_log {folder}/error warn; daemon off;\n"
        "events { worker_connections 4000; }\n"
        f"http {{ access_log off; sendfile on; keepalive_requests 100000000; open_file_cache max=10; {temporary}\n"
        f"server {{ listen 127.0.0.1:18082 backlog=4096; {serve} }}\n"
        f"server {{ listen 127.0.0.1:18442 ssl backlog=4096; ssl_certificate {chain}; ssl_certificate_key {key};"
        f" ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache off; ssl_session_tickets on; {serve} }} }}\n")
    user = ["-g", "user root;"] if os.getuid() == 0 else []
    process = subprocess.Popen(["nginx", "-c", f"{folder}/nginx.conf", *user])
    while not os.path.exists(f"{folder}/pid") or not open(f"{folder}/pid").read().strip():
        if process.poll() is not None:
            sys.exit(open(f"{folder}/error").read())
        time.sleep(0.05)
    return process


def certificate(folder):
    chain, key = f"{folder}/chain.pem", f"{folder}/key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                    "-subj", "/CN=localhost", "-keyout", key, "-out", chain], check=True, capture_output=True)
    return chain, key


def median(rows, key):
    return statistics.median(row[key] for row in rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("dialtone", "floor", "bootstorm"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--many", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder")
    parser.add_argument("--only", choices=["tls", "plain", "many"])
    options = parser.parse_args()
    root = tempfile.mkdtemp(prefix="dialtone-bench-", dir=options.folder or os.getcwd())
    promises = []
    running = []
    try:
        chain, key = certificate(root)
        storm = Storm(options.bootstorm)
        peers = f"{root}/nginx"
        os.makedirs(peers)
        web = nginx(peers, options.threads, chain, key)
        running.append(web)
        floor = subprocess.Popen([options.floor, "127.0.0.1:18083", "127.0.0.1:18443", chain, key],
                                 env=dict(os.environ, THREADS=str(options.threads)))
        running.append(floor)
        folder = f"{root}/small"
        os.makedirs(folder)
        server = Dialtone(options.dialtone, folder, options.threads)
        running.append(server.process)
        if options.only in (None, "tls"):
            promises += tls(storm, web.pid, floor.pid, server, options.rounds)
        if options.only in (None, "plain"):
            promises += plain(storm, web.pid, server, options.rounds)
        server.stop()
        if options.only in (None, "many"):
            promises += many(storm, options, root, running)
    finally:
        for process in running:
            process.terminate()
        shutil.rmtree(root, ignore_errors=True)
    print()
    failed = 0
    for what, value, limit, unit in promises:
        holds = value <= limit
        failed += not holds
        print(f"{'holds' if holds else 'FAILS'}  {what}: {value:.2f} {unit} (at most {limit} {unit})")
    sys.exit(1 if failed else 0)


def tls(storm, web, floor, server, rounds):
    print("6 KB over a new TLS 1.3 connection, P-256")
    rows = {name: [] for name in ("nginx", "floor", "first", "repeat")}
    server.load(1, rounds * DEVICES)
    for number in range(rounds):
        first = 1 + number * DEVICES
        ask = lambda boots: storm(f"dialtone, {'first contact' if boots == DEVICES else 'repeat'}", server.pid,
                                  "https://127.0.0.1:18441/{mac}.cfg", boots, first=first, expect="secret-")
        rows["nginx"].append(storm("nginx, a static file", web, "https://127.0.0.1:18442/{mac}.cfg", 2 * DEVICES))
        rows["floor"].append(storm("floor", floor, "https://127.0.0.1:18443/{mac}.cfg", 2 * DEVICES))
        rows["first"].append(ask(DEVICES))
        rows["repeat"].append(ask(2 * DEVICES))
    base = median(rows["floor"], "cpu")
    return [("first contact over TLS, CPU", median(rows["first"], "cpu") / base, 2.2, "x floor"),
            ("repeat over TLS, CPU", median(rows["repeat"], "cpu") / base, 1.6, "x floor"),
            ("nginx's rate over ours, repeat", median(rows["nginx"], "rate") / median(rows["repeat"], "rate"), 1.0, "x"),
            ("nginx's rate over ours, first contact", median(rows["nginx"], "rate") / median(rows["first"], "rate"), 1.0, "x")]


def plain(storm, web, server, rounds):
    print("plain HTTP, connections kept: accounts of phones with a waiver")
    rows = {name: [] for name in ("nginx", "first", "repeat")}
    server.load(PLAIN, rounds * DEVICES)
    for number in range(rounds):
        first = PLAIN + number * DEVICES
        ask = lambda boots: storm(f"dialtone, {'first contact' if boots == DEVICES else 'repeat'}", server.pid,
                                  "http://127.0.0.1:18081/{mac}.cfg", boots, first, pipe=True, expect="secret-")
        rows["nginx"].append(storm("nginx, a static file", web, "http://127.0.0.1:18082/{mac}.cfg", 20 * DEVICES, pipe=True))
        rows["first"].append(ask(DEVICES))
        rows["repeat"].append(ask(2 * DEVICES))
    base = median(rows["nginx"], "cpu")
    return [("first contact over plain HTTP, CPU", median(rows["first"], "cpu") / base, 12, "x nginx"),
            ("repeat over plain HTTP, CPU", median(rows["repeat"], "cpu") / base, 4, "x nginx")]


def many(storm, options, root, running):
    print(f"{options.many} devices beside {2 * DEVICES}")
    costs = {}
    for count in (2 * DEVICES, options.many):
        folder = f"{root}/{count}"
        os.makedirs(folder)
        server = Dialtone(options.dialtone, folder, options.threads)
        running.append(server.process)
        step = 20_000
        for first in range(1, count, step):
            server.load(first, min(step, count - first + 1), 1)
        server.stop()
        server.start()
        running.append(server.process)
        rows = [storm(f"first contact among {count}", server.pid, "https://127.0.0.1:18441/{mac}.cfg", DEVICES,
                      first=1 + number * DEVICES, expect="secret-") for number in range(2)]
        costs[count] = (median(rows, "cpu"), resident(server.pid), server.took)
        print(f"  {count} devices: {costs[count][1]:.0f} MB resident, ready in {server.took:.2f} s", flush=True)
        server.stop()
    few, lots = costs[2 * DEVICES], costs[options.many]
    return [(f"memory with {options.many} devices", lots[1], 300, "MB"),
            (f"start with {options.many} devices", lots[2], 2, "s"),
            ("CPU of a request, many devices over few", lots[0] / few[0], 1.2, "x")]


main()
