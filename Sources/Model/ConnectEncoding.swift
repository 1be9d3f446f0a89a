extension ConnectRequest {
    /// The body of POST /ctrl/connect, as the command line sends it. What is at its default is left out.
    public var json: JSONValue {
        var members: [String: JSONValue] = [:]
        if let key {
            members["key"] = .object([
                "name": .string(key.name), "namespace": .string(key.namespace), "tag": .string(key.tag),
            ])
        }
        if let spawn { members["spawn_config"] = spawn.json }
        if let user { members["user"] = .string(user) }
        if !auth.isEmpty { members["auth"] = .object(auth) }
        if wait != .none { members["wait"] = .string(wait.rawValue) }
        return .object(members)
    }
}

extension SpawnConfig {
    fileprivate var json: JSONValue {
        var members: [String: JSONValue] = ["executable": executable.json]
        if let id { members["id"] = .string(id.text) }
        if let cluster { members["cluster"] = .string(cluster.text) }
        if !pool.isEmpty { members["pool"] = .string(pool) }
        if let lifetimeLimitSeconds { members["lifetime_limit_seconds"] = .integer(lifetimeLimitSeconds) }
        if let maxIdleSeconds { members["max_idle_seconds"] = .integer(maxIdleSeconds) }
        if useStaticToken { members["use_static_token"] = .bool(true) }
        if let subdomain { members["subdomain"] = .string(subdomain) }
        return .object(members)
    }
}

extension Executable {
    fileprivate var json: JSONValue {
        var members: [String: JSONValue] = ["image": .string(image.text)]
        if !environment.isEmpty { members["env"] = .object(environment.mapValues(JSONValue.string)) }
        if limits != ResourceLimits() { members["resource_limits"] = limits.json }
        return .object(members)
    }
}

extension ResourceLimits {
    /// The `resource_limits` object; limits that are not tightened are left out.
    public var json: JSONValue {
        var members: [String: JSONValue] = [:]
        for (name, limit) in [
            (CodingKeys.memoryBytes, memoryBytes), (.cpuPeriodMicroseconds, cpuPeriodMicroseconds),
            (.cpuPercent, cpuPercent), (.cpuTimeSeconds, cpuTimeSeconds), (.diskBytes, diskBytes),
        ] {
            if let limit { members[name.rawValue] = .integer(limit) }
        }
        return .object(members)
    }
}
