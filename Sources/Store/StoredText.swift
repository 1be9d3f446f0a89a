internal import Model

/// What a database keeps as text: the same in every store, so that one can be read as the other.
enum StoredText {
    /// Turns what a stored value's own check says into an error of the store: this program wrote it, so it must pass.
    static func checked<Value>(_ read: () throws(InvalidValue) -> Value) throws(StoreError) -> Value {
        do throws(InvalidValue) {
            return try read()
        } catch {
            throw StoreError(.corrupt, message: "the database holds a value that is not one: \(error)")
        }
    }

    // MARK: An executable's environment and limits

    static func environment(_ environment: [String: String]) -> String {
        environment.isEmpty ? "{}" : JSONValue.object(environment.mapValues(JSONValue.string)).text
    }

    static func environment(parsing text: String) throws(StoreError) -> [String: String] {
        if text == "{}" { return [:] }
        let value = try json(text)
        return try checked { () throws(InvalidValue) in
            var reader = try JSONReader(.object(["environment": value]))
            return try reader.stringMap("environment") ?? [:]
        }
    }

    static func limits(_ limits: ResourceLimits) -> String {
        limits == ResourceLimits() ? "{}" : limits.json.text
    }

    static func limits(parsing text: String) throws(StoreError) -> ResourceLimits {
        if text == "{}" { return ResourceLimits() }
        let value = try json(text)
        do throws(RequestProblem) {
            return try ResourceLimits(json: value, path: "limits")
        } catch {
            throw StoreError(.corrupt, message: "the database holds limits that are none: \(error.detail)")
        }
    }

    // MARK: The images that a drone offers

    static func images(_ images: [OfferedImage]) -> String {
        JSONValue.array(
            images.map { image in
                let ceilings = image.ceilings
                var members: [String: JSONValue] = [
                    "name": .string(image.name),
                    "memory_bytes": number(ceilings.memoryBytes),
                    "cpu_quota_microseconds": number(ceilings.cpuQuotaMicroseconds),
                    "cpu_period_microseconds": number(ceilings.cpuPeriodMicroseconds),
                    "disk_bytes": number(ceilings.diskBytes),
                ]
                members["cpu_time_seconds"] = ceilings.cpuTimeSeconds.map(number)
                members["lifetime_seconds"] = ceilings.lifetimeSeconds.map(number)
                members["idle_seconds"] = ceilings.idleSeconds.map(number)
                return .object(members)
            }
        ).text
    }

    static func images(parsing text: String) throws(StoreError) -> [OfferedImage] {
        if text == "[]" { return [] }
        guard case .array(let items) = try json(text) else {
            throw StoreError(.corrupt, message: "the database holds a drone's images that are no array")
        }
        var images: [OfferedImage] = []
        for item in items {
            images.append(
                try checked { () throws(InvalidValue) in
                    var reader = try JSONReader(item, path: "image")
                    return OfferedImage(
                        name: try reader.string("name") ?? "",
                        ceilings: ResourceCeilings(
                            memoryBytes: try number("memory_bytes", of: &reader) ?? 0,
                            cpuQuotaMicroseconds: try number("cpu_quota_microseconds", of: &reader) ?? 0,
                            cpuPeriodMicroseconds: try number("cpu_period_microseconds", of: &reader) ?? 0,
                            cpuTimeSeconds: try number("cpu_time_seconds", of: &reader),
                            diskBytes: try number("disk_bytes", of: &reader) ?? 0,
                            lifetimeSeconds: try number("lifetime_seconds", of: &reader),
                            idleSeconds: try number("idle_seconds", of: &reader)))
                })
        }
        return images
    }

    /// As a string: a ceiling may be all of 64 bits, which is more than a JSON integer holds here.
    private static func number(_ value: UInt64) -> JSONValue { .string(String(value)) }

    private static func number(_ name: String, of reader: inout JSONReader) throws(InvalidValue) -> UInt64? {
        guard let text = try reader.string(name) else { return nil }
        guard let value = UInt64(text) else {
            throw InvalidValue(field: reader.pathOf(name), problem: "\"\(text.prefix(80))\" is not a number")
        }
        return value
    }

    private static func json(_ text: String) throws(StoreError) -> JSONValue {
        do throws(JSONSyntaxError) {
            return try JSONValue(parsing: Array(text.utf8))
        } catch {
            throw StoreError(.corrupt, message: "the database holds text that is not JSON: \(error)")
        }
    }
}
