import Model
import Testing

@testable import Policy

/// Policies that are right and policies that are wrong, and what is said of these.
enum PolicyCorpus {
    struct Bad: CustomTestStringConvertible {
        let text: String, message: String
        init(_ text: String, _ message: String) { (self.text, self.message) = (text, message) }
        var testDescription: String { text }
    }

    static let everyField = """
        {
          "$schema": "./policy.schema.json",
          "command": ["/usr/bin/python3", "-m", "notebook"],
          "environment": { "LANG": "C.UTF-8", "GREETING": "hello \\u00e9\\ud83d\\ude00" },
          "command_user": { "uid": 2000, "gid": 65533 },
          "hostname": "notebook-1",
          "limits": {
            "memory": "2GiB",
            "memory_high": "1800MB",
            "swap": "500MB",
            "cpus": 0.5,
            "cpu_period": "20ms",
            "cpu_weight": 50,
            "cpu_time": "5m",
            "pids": 32,
            "io": { "weight": 200, "read": "50MiB", "write": "20MB", "reads": 1000, "writes": 500 },
            "disk": "1536KiB",
            "disk_files": 500,
            "open_files": 4096,
            "shared_memory": "1GB"
          },
          "mounts": [
            { "read_only": "/srv/data", "at": "/data" },
            { "volume": "notebooks", "at": "/data/notebooks" }
          ],
          "volume_base": "/srv/volumes",
          "devices": ["dri/renderD128", "kvm"],
          "capabilities": ["CAP_CHOWN", "CAP_NET_BIND_SERVICE"],
          "seccomp": {
            "base": "default",
            "allow": ["io_setup", { "call": "ptrace", "argument": 0, "values": [3, 0] }],
            "deny": [
              "socketpair",
              { "call": "mprotect", "argument": 2, "mask": 4, "set": "any" },
              { "call": "kill", "argument": 1, "mask": 31, "set": "none" }
            ]
          },
          "landlock": {
            "read": ["/"], "write": ["/home/user", "/tmp"], "execute": ["/usr"], "listen": [0, 8080], "connect": []
          },
          "network": "none",
          "readiness": { "port": 8080, "path": "/api?x=%20", "timeout": "2m" },
          "grace_period": "0",
          "lifetime": "24h",
          "idle": "30m"
        }
        """

    static let right = [
        everyField,
        "{}",
        #"{"limits": null, "mounts": null, "seccomp": {"allow": null}, "readiness": {"port": null}}"#,
        #"{"limits": {"memory": "4MiB", "swap": "00", "cpus": 1024, "pids": 1}}"#,
        #"{"mounts": [{"read_only": "/tmp/own", "at": "/a"}, {"volume": "v", "at": "/a/b"}]}"#,
        #"{"mounts": [{"volume": "v", "read_only": null, "at": "/processes"}, {"volume": "v", "at": "/devel"}]}"#,
        #"{"mounts": [{"read_only": "/srv/..data", "at": "/.hidden/..."}]}"#,
        #"{"landlock": {"execute": ["/"]}}"#,
        #"{"seccomp": {"allow": [{"call": "personality", "argument": 0, "values": [262144]}]}}"#,
        #"{"seccomp": {"allow": ["ptrace"], "deny": [{"call": "ptrace", "argument": 0, "values": [16]}]}}"#,
        #"{"lifetime": "1h", "idle": "60m"}"#,
        #"{"environment": {"_": ""}, "command": ["/a", ""]}"#,
    ]

    /// What the schema sees as well.
    static let wrongShape: [Bad] = [
        Bad(#"[]"#, "the document: is an array; write an object, {…}"),
        Bad(#"{"limits": {"memory": "2 GB"}}"#, #"limits.memory: "2 GB" is not a size; write "2GiB" or "2000MB""#),
        Bad(#"{"limits": {"memory": "-1"}}"#, #"limits.memory: "-1" is not a size; write "2GiB" or "2000MB""#),
        Bad(#"{"limits": {"memory": "1"}}"#, #"limits.memory: "1" is not a size; write "2GiB" or "2000MB""#),
        Bad(#"{"limits": {"memory": "٣GiB"}}"#, #"limits.memory: "٣GiB" is not a size; write "2GiB" or "2000MB""#),
        Bad(#"{"limits": {"memory": 1000000}}"#, "limits.memory: is an integer; write a string"),
        Bad(#"{"limits": {"cpus": 0}}"#, "limits.cpus: 0.0 is out of range; allowed are 0.01 to 1024.0"),
        Bad(#"{"limits": {"cpus": "1"}}"#, "limits.cpus: is a string; write a number"),
        Bad(#"{"limits": {"cpu_weight": 0}}"#, "limits.cpu_weight: 0 is out of range; allowed are 1 to 10000"),
        Bad(
            #"{"limits": {"io": {"weight": 10001}}}"#, "limits.io.weight: 10001 is out of range; allowed are 1 to 10000"
        ),
        Bad(#"{"limits": {"io": {"read": 5}}}"#, "limits.io.read: is an integer; write a string"),
        Bad(
            #"{"limits": {"io": {"iops": 5}}}"#,
            "limits.io.iops: is not a known field; known are read, reads, weight, write, writes"),
        Bad(#"{"limits": {"pids": 0}}"#, "limits.pids: 0 is out of range; allowed are 1 to 4194304"),
        Bad(#"{"limits": {"pids": 1.5}}"#, "limits.pids: is a number; write an integer"),
        Bad(#"{"limits": []}"#, "limits: is an array; write an object, {…}"),
        Bad(
            #"{"limits": {"memroy": "1GiB"}}"#,
            "limits.memroy: is not a known field; did you mean memory? Known are cpu_period, cpu_time, cpu_weight, cpus, "
                + "disk, disk_files, io, memory, memory_high, open_files, pids, shared_memory, swap"),
        Bad(
            #"{"additional": 1}"#,
            "additional: is not a known field; known are $schema, capabilities, command, command_user, devices, "
                + "environment, grace_period, hostname, idle, landlock, lifetime, limits, mounts, network, readiness, "
                + "seccomp, volume_base"),
        Bad(#"{"command": []}"#, #"command: is empty; write the program and its arguments, ["/bin/sh"]"#),
        Bad(
            #"{"command": ["sh"]}"#,
            #"command[0]: "sh" is not an absolute path; write one that begins with / and has no .."#),
        Bad(
            #"{"command": ["/bin/../sh"]}"#,
            #"command[0]: "/bin/../sh" is not an absolute path; write one that begins with / and has no .."#),
        Bad(#"{"command_user": {"uid": 0}}"#, "command_user.uid: 0 is out of range; allowed are 1 to 65533"),
        Bad(#"{"command_user": {"gid": 65534}}"#, "command_user.gid: 65534 is out of range; allowed are 1 to 65533"),
        Bad(
            #"{"hostname": "a.b"}"#,
            #"hostname: "a.b" is not a host name; use 1 to 63 of a-z A-Z 0-9 and -, not beginning or ending with -"#),
        Bad(#"{"network": "host"}"#, #"network: "host" is not supported; the only value is "none""#),
        Bad(#"{"seccomp": {"base": "all"}}"#, #"seccomp.base: "all" is not supported; the only value is "default""#),
        Bad(#"{"seccomp": {"deny": ["chmod", "chmod"]}}"#, "seccomp.deny[1]: stands twice in the list; take one out"),
        Bad(
            #"{"seccomp": {"allow": [7]}}"#,
            "seccomp.allow[0]: is an integer; write a system call's name or "
                + #"{"call": "ioctl", "argument": 1, "values": [21523]}"#),
        Bad(
            #"{"seccomp": {"allow": [{"call": "ptrace"}]}}"#,
            "seccomp.allow[0].argument: is missing; write which argument decides, 0 to 5"),
        Bad(
            #"{"seccomp": {"allow": [{"call": "ptrace", "argument": 6, "values": [1]}]}}"#,
            "seccomp.allow[0].argument: 6 is out of range; allowed are 0 to 5"),
        Bad(
            #"{"seccomp": {"allow": [{"argument": 1, "values": [1]}]}}"#,
            "seccomp.allow[0].call: is missing; write a system call's name"),
        Bad(
            #"{"seccomp": {"deny": [{"call": "kill", "argument": 1, "values": []}]}}"#,
            #"seccomp.deny[0].values: or mask must say when: "values": [21523], or "mask": 4 with "set": "any" or "none""#
        ),
        Bad(
            #"{"seccomp": {"deny": [{"call": "kill", "argument": 1, "mask": 1}]}}"#,
            #"seccomp.deny[0].values: or mask must say when: "values": [21523], or "mask": 4 with "set": "any" or "none""#
        ),
        Bad(
            #"{"seccomp": {"deny": [{"call": "kill", "argument": 1, "mask": 1, "set": "any", "values": [1]}]}}"#,
            #"seccomp.deny[0].values: or mask must say when: "values": [21523], or "mask": 4 with "set": "any" or "none""#
        ),
        Bad(
            #"{"seccomp": {"deny": [{"call": "kill", "argument": 1, "values": [4294967296]}]}}"#,
            "seccomp.deny[0].values[0]: 4294967296 is out of range; allowed are 0 to 4294967295"),
        Bad(
            #"{"seccomp": {"deny": [{"call": "kill", "argument": 1, "value": [1]}]}}"#,
            "seccomp.deny[0].value: is not a known field; did you mean values? Known are argument, call, mask, set, values"
        ),
        Bad(
            #"{"mounts": [{"at": "/data"}]}"#,
            #"mounts[0].read_only: or volume must be given, and not both: {"read_only": "/srv/data", "at": "/data"} or "#
                + #"{"volume": "notebooks", "at": "/data"}"#),
        Bad(
            #"{"mounts": [{"read_only": "/srv", "volume": "x", "at": "/data"}]}"#,
            #"mounts[0].read_only: or volume must be given, and not both: {"read_only": "/srv/data", "at": "/data"} or "#
                + #"{"volume": "notebooks", "at": "/data"}"#),
        Bad(#"{"mounts": [{"volume": "x"}]}"#, #"mounts[0].at: is missing; write where it stands inside, "/data""#),
        Bad(
            #"{"mounts": [{"volume": "../x", "at": "/data"}]}"#,
            #"mounts[0].volume: "../x" is not a volume's name; use 1 to 64 of a-z A-Z 0-9 . _ and -, "#
                + "not beginning with . or -"),
        Bad(
            #"{"mounts": [{"volume": "x", "at": "/a/../b"}]}"#,
            #"mounts[0].at: "/a/../b" is not a plain absolute path; write one that begins with /, does not end "#
                + "with / and has no //, . or .."),
        Bad(
            #"{"mounts": [{"volume": "x", "at": "/a/"}]}"#,
            #"mounts[0].at: "/a/" is not a plain absolute path; write one that begins with /, does not end "#
                + "with / and has no //, . or .."),
        Bad(
            #"{"mounts": [{"volume": "x", "at": "/"}]}"#,
            #"mounts[0].at: "/" would cover the whole image; name a folder in it"#),
        Bad(
            #"{"mounts": [{"volume": "x", "at": "/dev/shm"}]}"#,
            #"mounts[0].at: "/dev/shm" is /dev or below it, which the sandbox makes itself"#),
        Bad(
            #"{"mounts": [{"volume": "x", "at": "/proc"}]}"#,
            #"mounts[0].at: "/proc" is /proc or below it, which the sandbox makes itself"#),
        Bad(#"{"mounts": {"volume": "x", "at": "/a"}}"#, "mounts: is an object; write an array of objects"),
        Bad(#"{"mounts": ["/a"]}"#, "mounts[0]: is a string; write an object, {…}"),
        Bad(
            #"{"devices": ["null"]}"#,
            #"devices[0]: "null" is not supported; the values are "kvm", "dri/renderD128", "dri/renderD129", "nvidia0", "#
                + #""nvidiactl", "nvidia-uvm""#),
        Bad(#"{"devices": ["kvm", "kvm"]}"#, "devices[1]: stands twice in the list; take one out"),
        Bad(
            #"{"capabilities": ["CHOWN"]}"#,
            #"capabilities[0]: "CHOWN" is not supported; the values are "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "#
                + #""CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_NET_BIND_SERVICE""#),
        Bad(
            #"{"capabilities": ["CAP_SETUIDS"]}"#,
            #"capabilities[0]: "CAP_SETUIDS" is not supported; did you mean "CAP_SETUID"? The values are "CAP_CHOWN", "#
                + #""CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "#
                + #""CAP_NET_BIND_SERVICE""#),
        Bad(
            #"{"landlock": {"read": ["/usr"]}}"#,
            #"landlock.execute: is empty, so the command itself could not be started; write ["/usr"] or the like"#),
        Bad(
            #"{"landlock": {"execute": ["usr"]}}"#,
            #"landlock.execute[0]: "usr" is not a plain absolute path; write one that begins with /, does not end with / "#
                + "and has no //, . or .."),
        Bad(
            #"{"landlock": {"execute": ["/usr"], "connect": [0]}}"#,
            "landlock.connect[0]: 0 is out of range; allowed are 1 to 65535"),
        Bad(
            #"{"landlock": {"execute": ["/usr"], "listen": ["80"]}}"#,
            "landlock.listen[0]: is a string; write an integer"),
        Bad(
            #"{"readiness": {"timeout": "soon"}}"#,
            #"readiness.timeout: "soon" is not a duration; write "500ms", "30s" or "5m""#),
        Bad(
            #"{"readiness": {"path": "/a b"}}"#,
            #"readiness.path: "/a b" is not a request's path; write / and at most 1023 characters of ASCII without spaces "#
                + "and #"),
        Bad(#"{"readiness": {"port": 0}}"#, "readiness.port: 0 is out of range; allowed are 1 to 65535"),
        Bad(#"{"environment": {"PORT": "80"}}"#, "environment.PORT: is set by Plane itself; take it out"),
        Bad(
            #"{"environment": {"A=B": ""}}"#,
            #"environment: "A=B" is not a variable's name; use A-Z a-z 0-9 and _, not beginning with a digit"#),
        Bad(#"{"environment": {"A": "\u0000"}}"#, "environment.A: contains a zero character"),
        Bad(#"{"lifetime": 60}"#, "lifetime: is an integer; write a string"),
    ]

    /// What a schema cannot see: ranges of quantities, names that only the program knows, and fields that contradict
    /// each other.
    static let wrongMeaning: [Bad] = [
        Bad(
            #"{"limits": {"memory": "18446744073709551615TiB"}}"#,
            #"limits.memory: "18446744073709551615TiB" is not a size; write "2GiB" or "2000MB""#),
        Bad(
            #"{"limits": {"memory": "1KiB"}}"#,
            #"limits.memory: "1KiB" is out of range; allowed are 4MiB to 64TiB"#),
        Bad(#"{"limits": {"disk": "0"}}"#, #"limits.disk: "0" is out of range; allowed are 64KiB to 64TiB"#),
        Bad(
            #"{"limits": {"memory": "64MiB", "shared_memory": "65MiB"}}"#,
            "limits.shared_memory: 65MiB is more than limits.memory, 64MiB, which it counts towards"),
        Bad(
            #"{"limits": {"memory": "64MiB", "memory_high": "64MiB"}}"#,
            "limits.memory_high: 64MiB is never reached, since limits.memory is 64MiB; write less than that"),
        Bad(
            #"{"limits": {"io": {"write": "1KiB"}}}"#,
            #"limits.io.write: "1KiB" is out of range; allowed are 4KiB to 64TiB"#),
        Bad(
            #"{"limits": {"cpus": 0.01, "cpu_period": "10ms"}}"#,
            "limits.cpus: 0.01 of a cpu_period of 10ms is less than the 1ms that the kernel can hand out; "
                + "raise one of the two"),
        Bad(
            #"{"limits": {"cpu_period": "2s"}}"#,
            #"limits.cpu_period: "2s" is out of range; allowed are 1ms to 1s"#),
        Bad(#"{"limits": {"cpu_time": "1500ms"}}"#, #"limits.cpu_time: "1500ms" is not a whole number of seconds"#),
        Bad(#"{"grace_period": "2h"}"#, #"grace_period: "2h" is out of range; allowed are 0s to 1h"#),
        Bad(
            #"{"lifetime": "1h", "idle": "61m"}"#,
            "idle: 61m is never reached, since lifetime is 1h; write no more than that"),
        Bad(#"{"lifetime": "0"}"#, #"lifetime: "0" is out of range; allowed are 1s to 87600h"#),
        Bad(
            #"{"seccomp": {"allow": ["ptrace", "mounnt"]}}"#,
            #"seccomp.allow[1]: "mounnt" is not a system call that is known here; did you mean "mount"? Write "#
                + #"its name as in section 2 of the manual, for example "ptrace""#),
        Bad(
            #"{"seccomp": {"allow": ["ptrace"], "deny": ["ptrace"]}}"#,
            #"seccomp.deny: "ptrace" is in seccomp.allow too; take it out of one"#),
        Bad(
            #"{"seccomp": {"allow": [{"call": "ptrace", "argument": 0, "values": [0]}], "deny": ["ptrace"]}}"#,
            #"seccomp.deny: "ptrace" is in seccomp.allow too; take it out of one"#),
        Bad(
            #"{"seccomp": {"allow": [{"call": "ptrace", "argument": 0, "values": [0]}, "ptrace"]}}"#,
            #"seccomp.allow: "ptrace" stands there by its name too, whatever its arguments; take one out"#),
        Bad(
            #"{"seccomp": {"allow": [{"call": "ptrace", "argument": 0, "values": [0, 1]}], "#
                + #""deny": [{"call": "ptrace", "argument": 0, "values": [1, 2]}]}}"#,
            "seccomp.deny: ptrace when argument 0 is 1 or 2 is in seccomp.allow too; take it out of one"),
        Bad(
            #"{"seccomp": {"allow": ["clone3"]}}"#,
            #"seccomp.allow: "clone3" can make namespaces, and a filter cannot see its flags; "#
                + "programs use clone when it is not there"),
        Bad(
            #"{"seccomp": {"allow": [{"call": "clone3", "argument": 1, "values": [88]}]}}"#,
            #"seccomp.allow: "clone3" can make namespaces, and a filter cannot see its flags; "#
                + "programs use clone when it is not there"),
        Bad(
            #"{"seccomp": {"allow": ["socket"]}}"#,
            #"seccomp.allow: "socket" is let through already as far as its arguments are harmless; "#
                + "without that check the sandbox has a hole"),
        Bad(
            #"{"seccomp": {"allow": [{"call": "ioctl", "argument": 1, "values": [21522]}]}}"#,
            #"seccomp.allow: "ioctl" is let through already as far as its arguments are harmless; "#
                + "without that check the sandbox has a hole"),
        Bad(
            #"{"seccomp": {"allow": [{"call": "prctl", "argument": 0, "values": [35]}]}}"#,
            #"seccomp.allow: "prctl" can be given further values of argument 0 only, and not 35"#),
        Bad(
            #"{"seccomp": {"allow": [{"call": "personality", "argument": 0, "mask": 1, "set": "none"}]}}"#,
            #"seccomp.allow: "personality" can be given further values of argument 0 only"#),
        Bad(
            #"{"seccomp": {"allow": [{"call": "mprotect", "argument": 2, "mask": 4, "set": "none"}]}}"#,
            #"seccomp.allow: "mprotect" is let through already, whatever its arguments; write it under seccomp.deny "#
                + "to refuse some"),
        Bad(
            #"{"seccomp": {"deny": ["execve"]}}"#,
            #"seccomp.deny: "execve" cannot be refused: without it no command starts and ends"#),
        Bad(
            #"{"seccomp": {"deny": [{"call": "exit_group", "argument": 0, "values": [1]}]}}"#,
            #"seccomp.deny: "exit_group" cannot be refused: without it no command starts and ends"#),
        Bad(
            #"{"seccomp": {"deny": ["clone3"]}}"#,
            #"seccomp.deny: "clone3" answers ENOSYS already; refused with EPERM, it would keep programs from using clone "#
                + "in its place"),
        Bad(
            #"{"mounts": [{"read_only": "/", "at": "/host"}]}"#,
            #"mounts[0].read_only: "/" is all of the host; name the one folder that is needed"#),
        Bad(
            #"{"mounts": [{"read_only": "/run/docker.sock", "at": "/s"}]}"#,
            #"mounts[0].read_only: "/run/docker.sock" cannot be given to a sandbox: /run holds the sockets of the host's "#
                + "services, and a socket works through a read-only mount as well; name a folder of your own, such as "
                + #""/srv/data""#),
        Bad(
            #"{"mounts": [{"read_only": "/var/lib", "at": "/s"}]}"#,
            #"mounts[0].read_only: "/var/lib" cannot be given to a sandbox: it contains /var/lib/docker, which holds the "#
                + #"file systems of containers; name a folder of your own, such as "/srv/data""#),
        Bad(
            #"{"mounts": [{"read_only": "/tmp", "at": "/s"}]}"#,
            #"mounts[0].read_only: "/tmp" cannot be given to a sandbox: /tmp holds the sockets and files of every program "#
                + #"on the host; name a folder of your own, such as "/srv/data""#),
        Bad(
            #"{"volume_base": "/etc/volumes"}"#,
            #"volume_base: "/etc/volumes" cannot be given to a sandbox: /etc is the host's own, and volumes are writable; "#
                + #"name a folder of your own, such as "/srv/data""#),
        Bad(
            #"{"mounts": [{"volume": "x", "at": "/a"}, {"volume": "y", "at": "/a"}]}"#,
            #"mounts[1].at: "/a" is that of mounts[0] too"#),
        Bad(
            #"{"mounts": [{"volume": "x", "at": "/a/b"}, {"volume": "y", "at": "/a"}]}"#,
            #"mounts[1].at: "/a" would hide mounts[0] at "/a/b"; write it before that one"#),
        Bad(
            #"{"landlock": {"execute": ["/"], "listen": [80]}, "readiness": {"port": 8080}}"#,
            "landlock.listen: lacks 8080, which is readiness.port; add it"),
    ]

    static let wrongSyntax: [Bad] = [
        Bad("", "line 1, column 1: the text is empty; a JSON value is needed"),
        Bad("{\n  \"limits\": {\n    \"pids\" 3", "line 3, column 12: a colon is needed after a member's name"),
        Bad("{\"a\": 1,}", "line 1, column 9: a member's name in double quotes is needed"),
        Bad("{} {}", "line 1, column 4: something follows the end of the value"),
        Bad("{\n\"pids\": 1,\n\"pids\": 2}", #"line 3, column 1: the member "pids" comes twice"#),
        Bad(#"{"limits": {"cpus": 1e999}}"#, "line 1, column 21: the number is too large"),
        Bad(
            "{\"a\": " + String(repeating: "[", count: 100),
            "line 1, column 70: more than \(JSONValue.depthMax) levels of nesting"),
    ]
}
