import Model

/// `--env NAME=VALUE`.
enum EnvironmentFlag {
    static func parse(_ arguments: Arguments, _ flag: Flag) throws(UsageError) -> [(name: String, value: String)] {
        var variables: [(String, String)] = []
        for text in arguments.all(flag) {
            guard let equals = text.firstIndex(of: "="), Executable.isVariableName(text[..<equals]) else {
                throw arguments.wrong("\(flag.name) \(text): write NAME=VALUE, the name of A-Z a-z 0-9 and _")
            }
            let name = String(text[..<equals])
            if Executable.reservedEnvironment.contains(name) {
                throw arguments.wrong("\(flag.name) \(name): is set by Plane itself")
            }
            variables.append((name, String(text[text.index(after: equals)...])))
        }
        return variables
    }
}
