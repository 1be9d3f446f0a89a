import Model
import Testing

@testable import Policy

/// The fields that the parser and the schema know, by the path of the object that has them; `[]` stands for any item.
enum PolicyFields {
    /// From the parser's own words about a field that it does not know.
    static func ofParser() throws -> [String: Set<String>] {
        let documents = [
            "": #"{"?": 1}"#, "command_user": #"{"command_user": {"?": 1}}"#, "limits": #"{"limits": {"?": 1}}"#,
            "limits.io": #"{"limits": {"io": {"?": 1}}}"#, "mounts[]": #"{"mounts": [{"?": 1}]}"#,
            "seccomp": #"{"seccomp": {"?": 1}}"#, "landlock": #"{"landlock": {"?": 1}}"#,
            "seccomp.allow[]": #"{"seccomp": {"allow": [{"call": "kill", "argument": 0, "?": 1}]}}"#,
            "seccomp.deny[]": #"{"seccomp": {"deny": [{"call": "kill", "argument": 0, "?": 1}]}}"#,
            "readiness": #"{"readiness": {"?": 1}}"#,
        ]
        return try documents.mapValues { text in
            let error = try #require(throws: PolicyError.self) { try PolicyFile.parse(text, name: "x") }
            let marker = "nown are "
            let start = try #require(error.problem.firstRange(of: marker), "\(error)")
            let names = error.problem[start.upperBound...].split(separator: ",")
            return Set(names.map { $0.filter { $0 != " " } })
        }
    }

    /// From the schema's properties, wherever they are.
    static func ofSchema(_ schema: JSONValue) throws -> [String: Set<String>] {
        var found: [String: Set<String>] = [:]
        func walk(_ node: JSONValue, _ path: String) throws {
            guard var members = node.members else { return }
            if case .string(let reference)? = members["$ref"] {
                let name = try #require(reference.split(separator: "/").last)
                members = try #require(schema.members?["$defs"]?.members?[String(name)]?.members)
            }
            if let properties = members["properties"]?.members {
                found[path] = Set(properties.keys)
                #expect(members["additionalProperties"] == .bool(false), "\(path)")
                for (name, property) in properties { try walk(property, path.isEmpty ? name : "\(path).\(name)") }
            }
            if let items = members["items"] { try walk(items, path + "[]") }
            if case .array(let choices)? = members["anyOf"] { for choice in choices { try walk(choice, path) } }
        }
        try walk(schema, "")
        return found
    }

    /// The object at a path of a document; nil when there is none.
    static func members(of document: JSONValue, at path: String) -> [String: JSONValue]? {
        path.split(separator: ".").reduce(document.members) { $0?[String($1)]?.members }
    }
}

@Suite("Policies/policy.schema.json")
struct PolicySchemaTests {
    private static let path = "\(PolicyFileTests.policies)/policy.schema.json"

    @Test("It knows the fields that the parser knows, and no others")
    func sameFields() throws {
        let schema = try JSONValue(parsing: try Command.content(of: Self.path))
        #expect(try PolicyFields.ofSchema(schema) == PolicyFields.ofParser())
    }

    @Test("Its defaults are those of the built-in policy")
    func sameDefaults() throws {
        let schema = try JSONValue(parsing: try Command.content(of: Self.path))
        let spelled = try JSONValue(parsing: try Command.content(of: "\(PolicyFileTests.policies)/default.json"))
        var count = 0
        for path in ["", "command_user", "limits", "limits.io", "readiness", "seccomp"] {
            let parts = path.split(separator: ".").map { "properties.\($0)" }
            let place = (parts + ["properties"]).joined(separator: ".")
            let properties = try #require(PolicyFields.members(of: schema, at: place))
            for (name, value) in try #require(PolicyFields.members(of: spelled, at: path)) {
                guard let standard = properties[name]?.members?["default"] else { continue }
                #expect(standard == value, "\(path).\(name)")
                count += 1
            }
        }
        #expect(count > 10)
    }

    @Test("Its words are those of the parser: devices, capabilities, lists and networks")
    func sameWords() throws {
        let schema = try JSONValue(parsing: try Command.content(of: Self.path))
        func words(_ path: String) throws -> Set<String> {
            guard case .array(let items)? = PolicyFields.members(of: schema, at: path)?["enum"] else { return [] }
            return Set(items.compactMap { if case .string(let word) = $0 { word } else { nil } })
        }
        #expect(try words("properties.devices.items") == Set(SandboxDevice.allCases.map(\.rawValue)))
        #expect(try words("properties.capabilities.items") == Set(SandboxCapability.allCases.map(\.rawValue)))
        #expect(try words("properties.network") == Set(PolicyDocument.Network.allCases.map(\.rawValue)))
        #expect(
            try words("properties.seccomp.properties.base") == Set(SystemCallPolicy.Base.allCases.map(\.rawValue)))
    }

    @Test("A validator judges as the parser does, apart from what no schema can see")
    func sameJudgement() throws {
        let folder = try TemporaryFolder()
        let expected =
            PolicyCorpus.right.map { ($0, true) } + PolicyCorpus.wrongShape.map { ($0.text, false) }
            + PolicyCorpus.wrongMeaning.map { ($0.text, true) }
        for (index, (text, _)) in expected.enumerated() { try folder.write("\(index).json", text) }
        let script = try folder.write(
            "validate.py",
            """
            import json, sys
            from jsonschema import Draft202012Validator
            schema = json.load(open(sys.argv[1]))
            Draft202012Validator.check_schema(schema)
            validator = Draft202012Validator(schema)
            for path in sys.argv[2:]:
                print(int(validator.is_valid(json.load(open(path)))))
            """)
        let files = try Command.run("ls \(PolicyFileTests.policies)").output.split(separator: "\n")
            .filter { $0 != "policy.schema.json" }.map { "\(PolicyFileTests.policies)/\($0)" }
        let paths = expected.indices.map { "\(folder.path)/\($0).json" } + files
        // The package python3-jsonschema; without it this fails rather than being left out.
        let outcome = try Command.run(
            "python3 -W ignore \(script) \(Self.path) \(paths.joined(separator: " "))")
        try #require(outcome.status == 0, "\(outcome.output)")
        let verdicts = outcome.output.split(separator: "\n").map { $0 == "1" }
        try #require(verdicts.count == paths.count)
        for (index, (text, isRight)) in expected.enumerated() { #expect(verdicts[index] == isRight, "\(text)") }
        #expect(verdicts.suffix(files.count).allSatisfy { $0 })
    }
}
