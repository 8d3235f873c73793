# SPDX-License-Identifier: MIT
"""A stand-in API server of a test's own, on a port of the loopback that is free."""
import pathlib, signal, ssl, subprocess, time


class Server:
    def __init__(self, program, crds, certs, dir, *more):
        self.dir = pathlib.Path(dir)
        subprocess.run([certs, dir, "sandbox", "127.0.0.1"], check=True)
        (self.dir / "port").unlink(missing_ok=True)
        self.proc = subprocess.Popen(
            [program, "--listen=127.0.0.1:0", f"--cert={dir}/server.crt", f"--key={dir}/server.key",
             f"--token-file={dir}/tokens", f"--crds={crds}", f"--port-file={dir}/port", "--stop-msec=100", *more])
        end = time.monotonic() + 30
        while not (self.dir / "port").exists():
            if self.proc.poll() is not None or time.monotonic() > end:
                raise SystemExit("Bail out! the server does not start")
            time.sleep(0.02)
        self.port = int((self.dir / "port").read_text())
        lines = (self.dir / "tokens").read_text().splitlines()
        self.admin, self.agent = (l.split()[0] for l in lines)
        self.tls = ssl.create_default_context(cafile=f"{dir}/ca.crt")

    def end(self):
        self.proc.send_signal(signal.SIGTERM)
        return self.proc.wait(30)
