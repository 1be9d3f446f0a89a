import Glibc
import Testing

@testable import Policy

/// The real kernel under the real filter: a launcher in C attaches it and runs programs.
@Suite("Under the filter, in this kernel")
final class KernelFilterTests {
    private let folder: TemporaryFolder
    private let filter: String

    init() throws {
        folder = try TemporaryFolder()
        filter = try folder.write("filter", SeccompProgram(SystemCallPolicy()).bytes)
        let programs = #filePath.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 } + "/Programs"
        for program in ["launch", "probe"] {
            let built = try Command.run(
                "gcc -O1 -Wall -o \(folder.path)/\(program) \(programs)/\(program).c -lpthread")
            try #require(built.status == 0, "\(built.output)")
        }
    }

    private func run(_ command: String) throws -> Command.Result {
        try Command.run("\(folder.path)/launch \(filter) \(command)")
    }

    private static func results(_ output: String) -> [String: String] {
        Dictionary(
            output.split(separator: "\n").map { line in
                let parts = line.split(separator: " ", maxSplits: 1)
                return (String(parts[0]), parts.count > 1 ? String(parts[1]) : "")
            }, uniquingKeysWith: { first, _ in first })
    }

    @Test("What is forbidden answers so, and what programs need works")
    func probes() throws {
        let outcome = try run("\(folder.path)/probe")
        #expect(outcome.status == 0)
        var expected = [
            "unknown": "\(ENOSYS)", "clone3": "\(ENOSYS)", "generic_netlink": "\(EPROTONOSUPPORT)",
            "packet": "\(EAFNOSUPPORT)", "vsock": "\(EAFNOSUPPORT)", "mm_map_size": "\(EINVAL)",
            "call_x32": "signal \(SIGSYS)", "call_32bit": "signal \(SIGSYS)",
        ]
        for name in [
            "mount", "unshare", "setns", "ptrace", "bpf", "keyctl", "io_uring_setup", "open_by_handle_at", "chroot",
            "tiocsti", "tiocsti_wide", "personality_exec",
        ] {
            expected[name] = "\(EPERM)"
        }
        for name in ["read_nothing", "unix", "tcp", "route", "personality_ask", "name", "thread"] {
            expected[name] = "ok"
        }
        #if arch(arm64)
            expected["call_x32"] = "ok"
            expected["call_32bit"] = "ok"
        #endif
        #expect(Self.results(outcome.output) == expected)
    }

    @Test("Without the filter the same probes get other answers, so it is the filter that gave them")
    func probesWithout() throws {
        let under = Self.results(try run("\(folder.path)/probe").output)
        let without = Self.results(
            try Command.run("\(folder.path)/launch - \(folder.path)/probe").output)
        // The kernel itself does not know call 9999.
        let same = ["unknown", "read_nothing", "unix", "tcp", "route", "personality_ask", "name", "thread"]
        for (name, result) in under where !same.contains(name) {
            #expect(without[name] != result, "\(name)")
        }
    }

    @Test("A policy's conditions hold in the kernel: allowed for one value, refused for another")
    func conditions() throws {
        let policy = try PolicyFile.parse(
            """
            {"seccomp": {"allow": [{"call": "personality", "argument": 0, "values": [262144]}],
                         "deny": [{"call": "socket", "argument": 1, "values": [3, 524291]},
                                  {"call": "mprotect", "argument": 2, "mask": 4, "set": "any"}]}}
            """, name: "x.json")
        let changed = try folder.write("changed", SeccompProgram(policy.seccomp).bytes)
        // setarch -R asks for ADDR_NO_RANDOMIZE, 0x40000; -X for READ_IMPLIES_EXEC, which is on no list.
        let fixed = "setarch $(uname -m) -R /bin/true"
        #expect(try run("/bin/sh -c '\(fixed)'").status != 0)
        #expect(try Command.run("\(folder.path)/launch \(changed) /bin/sh -c '\(fixed)'").status == 0)
        #expect(
            try Command.run("\(folder.path)/launch \(changed) /bin/sh -c 'setarch $(uname -m) -X true'").status != 0)
        let script = try folder.write("try.py", Self.attempts)
        #expect(try run("/usr/bin/python3 -I \(script)").output == "stream ok\nraw ok\nmprotect 0\n")
        let refused = try Command.run("\(folder.path)/launch \(changed) /usr/bin/python3 -I \(script)")
        #expect(refused.output == "stream ok\nraw Operation not permitted\nmprotect -1\n")
    }

    /// Python adds SOCK_CLOEXEC, 0x80000. SOCK_RAW of AF_UNIX is what the kernel takes for SOCK_DGRAM, so that nobody needs a privilege for it.
    private static let attempts = """
        import ctypes, mmap, socket
        for name, kind in [("stream", socket.SOCK_STREAM), ("raw", socket.SOCK_RAW)]:
            try:
                socket.socket(socket.AF_UNIX, kind)
                print(name, "ok")
            except OSError as error:
                print(name, error.strerror)
        memory = mmap.mmap(-1, 4096)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        library = ctypes.CDLL(None)
        print("mprotect", library.mprotect(ctypes.c_void_p(address), 4096, 4 | 1))
        """

    static let python = """
        import asyncio, mmap, multiprocessing, os, signal, socket, subprocess, tempfile, threading

        def threads():
            thread = threading.Thread(target=lambda: print("thread"))
            thread.start()
            thread.join()

        def processes():
            print(subprocess.run(["/bin/echo", "subprocess"], capture_output=True, text=True).stdout.strip())

        def sockets():
            server = socket.create_server(("127.0.0.1", 0))
            client = socket.create_connection(server.getsockname())
            peer, _ = server.accept()
            client.sendall(b"socket")
            print(peer.recv(99).decode())
            socket.getaddrinfo("localhost", 80)
            socket.if_nameindex()
            socket.socketpair()

        async def coroutines():
            process = await asyncio.create_subprocess_exec("/bin/echo", "asyncio", stdout=-1)
            print((await process.communicate())[0].decode().strip())

        def put(queue, text):
            queue.put(text)

        def workers(method):
            context = multiprocessing.get_context(method)
            queue = context.Queue()
            worker = context.Process(target=put, args=(queue, method))
            worker.start()
            print(queue.get())
            worker.join()

        def memory():
            with tempfile.TemporaryFile() as file:
                file.truncate(4096)
                mmap.mmap(file.fileno(), 4096)[:4] = b"mmap"
            os.close(os.memfd_create("x"))
            os.sched_getaffinity(0)

        def signals():
            signal.signal(signal.SIGALRM, lambda *_: print("signal"))
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            signal.pause()

        if __name__ == "__main__":
            threads()
            processes()
            sockets()
            asyncio.run(coroutines())
            workers("fork")
            workers("spawn")
            memory()
            signals()
            try:
                socket.socket(socket.AF_VSOCK)
            except OSError as error:
                print(error.strerror)
        """

    @Test(
        "CPython: threads, processes, sockets, asyncio, multiprocessing, signals, mappings",
        .enabled(if: access("/usr/bin/python3", X_OK) == 0))
    func cpython() throws {
        let script = try folder.write("try.py", Self.python)
        let outcome = try run("/usr/bin/python3 -I -u \(script)")
        #expect(
            outcome.output
                == "thread\nsubprocess\nsocket\nasyncio\nfork\nspawn\nsignal\nAddress family not supported by protocol\n"
        )
        #expect(outcome.status == 0)
    }

    static let node = """
        const { Worker } = require('worker_threads'), { execFileSync } = require('child_process'), net = require('net');
        console.log(execFileSync('/bin/echo', ['child']).toString().trim());
        require('fs').promises.readFile('/etc/hostname').then(() => console.log('file'))
        .then(() => new Promise(done => new Worker(
            `require('worker_threads').parentPort.postMessage('worker')`, { eval: true }
        ).on('message', text => { console.log(text); done(); })))
        .then(() => net.createServer(peer => peer.end('socket')).listen(0, '127.0.0.1', function () {
            net.connect(this.address().port).on('data', data => { console.log(data.toString()); process.exit(0); });
        }));
        """

    @Test("Node: child processes, worker threads, files, sockets", .enabled(if: access("/usr/bin/node", X_OK) == 0))
    func nodejs() throws {
        let script = try folder.write("try.js", Self.node)
        let outcome = try run("/usr/bin/node \(script)")
        #expect(outcome.output == "child\nfile\nworker\nsocket\n")
        #expect(outcome.status == 0)
    }

    @Test("Shells and a compiler, and a program it made, with threads")
    func shellsAndCompiler() throws {
        let path = folder.path
        try folder.write(
            "hello.c",
            """
            #include <pthread.h>
            #include <stdio.h>
            static void *hello(void *argument) { puts(argument); return 0; }
            int main(void) {
                pthread_t thread;
                return pthread_create(&thread, 0, hello, "hello") || pthread_join(thread, 0);
            }
            """)
        try folder.write(
            "try.sh",
            "set -e; cd \(path); gcc -o hello hello.c -lpthread; ./hello | tr h j; ls hello.? | wc -l; echo $((6*7)); wait"
        )
        #expect(try run("/bin/bash \(path)/try.sh") == .init(output: "jello\n1\n42\n", status: 0))
        if access("/bin/busybox", X_OK) == 0 {
            #expect(try run("/bin/busybox sh \(path)/try.sh") == .init(output: "jello\n1\n42\n", status: 0))
        }
    }
}
