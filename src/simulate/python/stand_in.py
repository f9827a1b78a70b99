# What stands around a script of a simulated unit: it runs in this process, and everything that
# leaves it is asked of the unit, one JSON line out and one in. Files stand below a folder of the
# unit's own. The first line that comes is what to play.
import builtins
import io
import json
import os
import sys
import types

LINK_OUT = os.fdopen(os.dup(1), "w", buffering=1)
LINK_IN = os.fdopen(os.dup(0), "r")
os.dup2(2, 1)
os.close(0)
sys.stdin = io.StringIO("")
TOLD = json.loads(LINK_IN.readline())
ROOT = TOLD["root"]


class Left(BaseException):
    """The unit was switched off."""


def ask(**what):
    LINK_OUT.write(json.dumps(what) + "\n")
    LINK_OUT.flush()
    line = LINK_IN.readline()
    if not line:
        raise Left()
    answer = json.loads(line)
    if answer.get("left"):
        raise Left()
    return answer


# Files: a path of the unit is one below its folder.
def below(path):
    if isinstance(path, int):
        return path
    text = os.fsdecode(os.fspath(path))
    if text.startswith("/") and not text.startswith(ROOT) and text.split("/")[1] in TOLD["folders"]:
        return ROOT + text
    return path


def moved(function, count):
    def call(*args, **more):
        args = [below(one) if at < count else one for at, one in enumerate(args)]
        return function(*args, **more)

    return call


for name in ("open", "stat", "lstat", "remove", "unlink", "mkdir", "makedirs", "listdir", "scandir",
             "chmod", "access", "rmdir", "utime", "truncate"):
    setattr(os, name, moved(getattr(os, name), 1))
for name in ("rename", "replace", "link", "symlink"):
    setattr(os, name, moved(getattr(os, name), 2))
builtins.open = io.open = moved(io.open, 1)

# Time is the unit's.
import time  # noqa: E402

time.time = lambda: ask(do="now")["now"]
time.monotonic = time.time
time.sleep = lambda seconds: ask(do="sleep", seconds=float(seconds)) and None

# Nothing goes to the network but by the unit.
import socket  # noqa: E402
import ssl  # noqa: E402
import urllib.error  # noqa: E402
import urllib.request  # noqa: E402


def closed(*_args, **_more):
    raise OSError("the unit has no such socket")


socket.socket = closed
socket.create_connection = closed
socket.setdefaulttimeout = lambda _seconds: None


class Context:
    """Whom a request believes."""

    def __init__(self, cafile=None, cadata=None, checks=True):
        self.given = ""
        self.check_hostname = checks
        self.verify_mode = ssl.CERT_REQUIRED if checks else ssl.CERT_NONE
        if cafile or cadata:
            self.load_verify_locations(cafile=cafile, cadata=cadata)

    def load_verify_locations(self, cafile=None, capath=None, cadata=None):
        if cafile:
            with open(cafile) as file:
                self.given += file.read()
        if cadata:
            self.given += cadata
        if "BEGIN CERTIFICATE" not in self.given:
            raise ssl.SSLError("no certificate found")

    def load_default_certs(self, *_args):
        pass

    def load_cert_chain(self, *_args, **_more):
        pass


ssl.create_default_context = lambda *_args, **more: Context(more.get("cafile"), more.get("cadata"))
ssl._create_unverified_context = lambda *_args, **_more: Context(checks=False)
ssl.SSLContext = lambda *_args, **_more: Context(checks=False)


class Response(io.BytesIO):
    def __init__(self, url, answer):
        super().__init__(bytes.fromhex(answer["body"]))
        import email.message

        self.url, self.status, self.code = url, answer["status"], answer["status"]
        self.headers = email.message.Message()
        for key, value in answer["headers"]:
            self.headers[key] = value
        self.reason = self.msg = str(self.status)

    def getcode(self):
        return self.status

    def info(self):
        return self.headers

    def getheader(self, name, default=None):
        return self.headers.get(name, default)

    def geturl(self):
        return self.url


def urlopen(url, data=None, timeout=None, context=None, **_more):
    request = url if isinstance(url, urllib.request.Request) else urllib.request.Request(url, data)
    body = data if data is not None else request.data
    answer = ask(
        do="fetch",
        url=request.full_url,
        method=request.get_method(),
        headers=[[key, value] for key, value in request.header_items()],
        body=(body or b"").hex(),
        ca=getattr(context, "given", "") or "",
        unchecked=context is not None and context.verify_mode == ssl.CERT_NONE,
    )
    if "error" in answer:
        why = ssl.SSLCertVerificationError(answer["error"]) if answer["untrusted"] else OSError(answer["error"])
        raise urllib.error.URLError(why)
    response = Response(request.full_url, answer)
    if answer["status"] >= 400:
        raise urllib.error.HTTPError(request.full_url, answer["status"], "refused", response.headers, response)
    return response


urllib.request.urlopen = urlopen


def retrieve(url, filename=None, *_args, **_more):
    with urlopen(url) as response, open(filename, "wb") as file:
        file.write(response.read())
    return filename, response.headers


urllib.request.urlretrieve = retrieve


# Programs, and the command line of the unit.
import subprocess  # noqa: E402


def played(words, shell, given=None):
    if isinstance(words, str):
        words = ["sh", "-c", words] if shell else words.split()
    answer = ask(do="run", words=[str(word) for word in words], input=(given or b"").hex())
    return answer["code"], bytes.fromhex(answer["out"])


def run(words, shell=False, check=False, input=None, text=False, universal_newlines=False, **_more):
    given = input.encode() if isinstance(input, str) else input
    code, out = played(words, shell, given)
    said = out.decode("utf-8", "replace") if text or universal_newlines else out
    if check and code:
        raise subprocess.CalledProcessError(code, words, said)
    return subprocess.CompletedProcess(words, code, said, "" if isinstance(said, str) else b"")


subprocess.run = run
subprocess.call = lambda words, **more: run(words, **more).returncode
subprocess.check_call = lambda words, **more: run(words, check=True, **more).returncode
subprocess.check_output = lambda words, **more: run(words, check=True, **more).stdout
subprocess.Popen = closed
os.system = lambda words: run(words, shell=True).returncode << 8
os.popen = lambda words, *_args: io.StringIO(run(words, shell=True, text=True).stdout)
for name in ("fork", "execv", "execve", "execvp", "posix_spawn", "spawnv"):
    setattr(os, name, closed)


class CliError(Exception):
    pass


def command(line):
    answer = ask(do="cli", command=line)
    if answer["error"] and TOLD["raises"]:
        raise CliError(answer["out"])
    return answer["out"]


def configure(lines):
    lines = lines.splitlines() if isinstance(lines, str) else list(lines)
    answer = ask(do="cli", command="\n".join(["configure terminal"] + [str(line) for line in lines]))
    if answer["error"]:
        raise CliError(answer["out"])
    return [types.SimpleNamespace(success=True, command=line, line=at) for at, line in enumerate(lines)]


def printed(function):
    return lambda line: print(function(line))


cli = types.ModuleType("cli")
cli.cli = cli.execute = cli.clip_out = command
cli.executep = cli.clip = printed(command)
cli.configure = configure
cli.configurep = printed(configure)
cli.clid = lambda line: ask(do="cli", command=line + " | json")["out"]
cli.cli_error = cli.CLISyntaxError = cli.CLIConfigurationError = cli.errors = CliError
sys.modules["cli"] = cli
cisco = types.ModuleType("cisco")
cisco.cli = command
cisco.vrf = types.ModuleType("cisco.vrf")
cisco.vrf.set_global_vrf = lambda _name: None
sys.modules["cisco"] = cisco
sys.modules["cisco.vrf"] = cisco.vrf

os.environ.clear()
os.environ.update(TOLD["environment"])
sys.argv = [TOLD["name"]]
code = 0
try:
    play = {"__name__": "__main__", "__file__": TOLD["name"]}
    exec(compile(TOLD["script"], TOLD["name"], "exec"), play)
except SystemExit as end:
    code = end.code if isinstance(end.code, int) else int(end.code is not None)
    if isinstance(end.code, str):
        print(end.code)
except Left:
    code = -1
except BaseException as end:
    import traceback

    traceback.print_exc()
    code = 1
sys.stdout.flush()
LINK_OUT.write(json.dumps({"do": "end", "code": code}) + "\n")
LINK_OUT.flush()
os._exit(0)
