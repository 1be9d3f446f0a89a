import Testing

@testable import plane

@Suite("The words of a command line")
struct ArgumentsTests {
    private static let size = Flag("--size", .value("N", default: "7"), "how large")
    private static let name = Flag("--name", .value("NAME", default: nil), "called so")
    private static let kind = Flag("--kind", .required("KIND"), "which")
    private static let each = Flag("--env", .repeated("NAME=VALUE"), "a variable")
    private static let quick = Flag("--quick", .bare, "at once")
    private static let plain = CommandSyntax(
        "thing make", .words(0...2, "WORD…"), purpose: "make a thing", flags: [size, name, each, quick])
    private static let strict = CommandSyntax("thing", purpose: "a thing", flags: [kind])
    private static let runner = CommandSyntax("go", .command("COMMAND…"), purpose: "go", flags: [quick])

    private func refusal(_ words: [String], _ syntax: CommandSyntax = plain) -> String? {
        do throws(UsageError) {
            _ = try Arguments(words, syntax)
            return nil
        } catch { return error.sentence }
    }

    @Test("A value stands behind its flag or behind an equals sign")
    func values() throws {
        #expect(try Arguments(["--size", "3"], Self.plain).text(Self.size) == "3")
        #expect(try Arguments(["--size=3"], Self.plain).text(Self.size) == "3")
        #expect(try Arguments(["--name="], Self.plain).text(Self.name)?.isEmpty == true)
        #expect(try Arguments(["--name=--size"], Self.plain).text(Self.name) == "--size")
        #expect(try Arguments(["--size", "-1"], Self.plain).text(Self.size) == "-1")
        #expect(try Arguments(["--env", "A=B=C", "--env=D=", "x"], Self.plain).all(Self.each) == ["A=B=C", "D="])
    }

    @Test("What is left out has its default, or nothing")
    func defaults() throws {
        let arguments = try Arguments(["a", "b"], Self.plain)
        #expect(arguments.text(Self.size) == "7")
        #expect(arguments.text(Self.name) == nil)
        #expect(arguments.all(Self.each).isEmpty)
        #expect(!arguments.isGiven(Self.quick))
        #expect(arguments.operands == ["a", "b"])
    }

    @Test(
        "What is wrong is said, with what was meant",
        arguments: [
            (["--sise", "3"], "--sise is not a flag of plane thing make; did you mean --size?"),
            (["--siz=3"], "--siz is not a flag of plane thing make; did you mean --size?"),
            (["--entirely-other"], "--entirely-other is not a flag of plane thing make"),
            (["--size"], "--size needs a value: --size N"),
            (["--size", "--quick"], "--size needs a value: --size N"),
            (["--quick=yes"], "--quick takes no value"),
            (["--size", "1", "--size", "2"], "--size is given twice"),
            (["a", "b", "c"], "plane thing make takes WORD…, and \"c\" is too many"),
        ])
    func refusals(words: [String], sentence: String) { #expect(refusal(words) == sentence) }

    @Test("A flag that must be given is asked for, except beside --help")
    func required() throws {
        #expect(refusal([], Self.strict) == "plane thing needs --kind KIND")
        #expect(refusal(["--kind", "a", "b"], Self.strict) == "plane thing takes no word \"b\"")
        #expect(try Arguments(["--help"], Self.strict).asksForHelp)
        #expect(try Arguments(["-h"], Self.strict).asksForHelp)
    }

    @Test("Behind -- nothing is a flag")
    func command() throws {
        let arguments = try Arguments(["--quick", "--", "sh", "--quick", "--help", "--", "x"], Self.runner)
        #expect(arguments.command == ["sh", "--quick", "--help", "--", "x"])
        #expect(!arguments.asksForHelp)
        #expect(refusal(["ls"], Self.runner) == "\"ls\" stands before --; write the command behind it: -- ls …")
        #expect(try Arguments(["--", "--size"], Self.plain).operands == ["--size"])
    }

    @Test(
        "Numbers are whole and in their range",
        arguments: ["", "x", "1.5", "-1", "65536", "99999999999999999999", "0x10"])
    func numbers(text: String) throws {
        let arguments = try Arguments(["--size=\(text)"], Self.plain)
        #expect(throws: UsageError.self) { try arguments.integer(Self.size, in: 0...65535) }
        #expect(try Arguments(["--size=65535"], Self.plain).integer(Self.size, in: 0...65535) == 65535)
    }

    @Test("The help of every subcommand tells each flag with its default")
    func help() {
        for entry in Plane.commands {
            for command in entry.subcommands {
                let text = command.syntax.helpText
                #expect(text.hasPrefix("usage: plane \(command.syntax.name)"))
                for flag in command.syntax.allFlags {
                    #expect(text.contains("  \(flag.spelling) "), "\(command.syntax.name) \(flag.name)")
                    if case .value(_, let standard?) = flag.kind, !standard.isEmpty {
                        #expect(text.contains("(default \(standard))"), "\(command.syntax.name) \(flag.name)")
                    }
                }
                #expect(text.split(separator: "\n").allSatisfy { $0.count <= 120 }, "\(command.syntax.name)")
            }
        }
    }

    @Test("No two flags of a subcommand have one name")
    func flagNames() {
        for command in Plane.commands.flatMap(\.subcommands) {
            let names = command.syntax.allFlags.map(\.name)
            #expect(Set(names).count == names.count, "\(command.syntax.name)")
        }
    }
}

extension CommandEntry {
    /// All that can be asked for by this first word.
    var subcommands: [any Subcommand.Type] {
        switch self {
        case .command(let command): [command]
        case .group(_, _, let commands): commands
        }
    }
}
