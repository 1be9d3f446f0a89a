import HTTP

/// A request target, split at the token.
struct TokenPath {
    /// The first segment of the path.
    let token: UnsafeRawBufferPointer
    /// The path without the query.
    let path: UnsafeRawBufferPointer
    /// What follows the token: empty, or beginning with `/` or `?`.
    let rest: UnsafeRawBufferPointer

    /// - Parameter target: in origin form, so it begins with `/`.
    init(_ target: UnsafeRawBufferPointer) {
        var end = 1
        while end < target.count, target[end] != 0x2F, target[end] != 0x3F { end &+= 1 }
        token = UnsafeRawBufferPointer(rebasing: target[1..<end])
        rest = UnsafeRawBufferPointer(rebasing: target[end...])
        while end < target.count, target[end] != 0x3F { end &+= 1 }
        path = UnsafeRawBufferPointer(rebasing: target[..<end])
    }
}

/// Which host names a route is for. plane's rule: cluster `h` means `h`, `h:443` and names below `h`; cluster `h:p` means
/// the same with exactly `:p`.
enum HostRule {
    static func allows(_ host: UnsafeRawBufferPointer, _ route: borrowing Route) -> Bool {
        var cluster = route.cluster
        return cluster.withUTF8 { text in
            let cluster = UnsafeRawBufferPointer(text)
            var host = host
            if !cluster.contains(0x3A), hasSuffix(host, StaticText.httpsPort) {
                host = UnsafeRawBufferPointer(rebasing: host.dropLast(4))
            }
            guard var subdomain = route.subdomain else { return isBelow(host, cluster, allowsSelf: .yes) }
            return subdomain.withUTF8 { label in
                host.count == label.count + 1 + cluster.count
                    && same(UnsafeRawBufferPointer(rebasing: host[..<label.count]), UnsafeRawBufferPointer(label))
                    && isBelow(host, cluster, allowsSelf: .no)
            }
        }
    }

    private enum StaticText {
        static var httpsPort: StaticString { ":443" }
    }

    private enum SelfAllowance {
        case yes
        case no
    }

    private static func hasSuffix(_ host: UnsafeRawBufferPointer, _ suffix: StaticString) -> Bool {
        host.count >= suffix.utf8CodeUnitCount
            && ByteText.equals(UnsafeRawBufferPointer(rebasing: host.suffix(suffix.utf8CodeUnitCount)), suffix)
    }

    private static func isBelow(
        _ host: UnsafeRawBufferPointer, _ cluster: UnsafeRawBufferPointer, allowsSelf: SelfAllowance
    ) -> Bool {
        if host.count == cluster.count { return allowsSelf == .yes && same(host, cluster) }
        guard host.count > cluster.count + 1, host[host.count - cluster.count - 1] == 0x2E else { return false }
        return same(UnsafeRawBufferPointer(rebasing: host.suffix(cluster.count)), cluster)
    }

    private static func same(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
        guard a.count == b.count else { return false }
        for index in 0..<a.count where ByteText.lowercase(a[index]) != ByteText.lowercase(b[index]) { return false }
        return true
    }
}

/// Composes the head that the backend gets. Pure: a parsed head and a route in, bytes out.
enum RequestRewriting {
    /// - Parameters:
    ///   - head: the parsed head's bytes, `headCount` of them.
    ///   - peer: the client's address, host byte order.
    static func compose(
        _ writer: inout ByteWriter, _ layout: UnsafePointer<RequestLayout>, head: UnsafeRawBufferPointer,
        headCount: Int,
        path: TokenPath, route: borrowing Route, peer: UInt32
    ) {
        writer.append(layout.pointee.methodName.bytes(in: head))
        writer.append(" ")
        appendTarget(&writer, path, layout.pointee.target.bytes(in: head), route.kind)
        // A client of 1.0 could not read chunks, so the backend must not be invited to send them.
        writer.append(layout.pointee.minorVersion == 1 ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n")
        layout.pointee.fields.withAll { fields in
            FieldCopy.append(&writer, fields, head: head, headCount: headCount) { passesToBackend($0, head) }
        }
        appendConnection(&writer, layout, head)
        route.fieldBlock.withUnsafeBytes { writer.append($0) }
        writer.append("x-verified-path: ")
        writer.append(path.path)
        writer.append("\r\nx-forwarded-for: ")
        appendAddress(&writer, peer)
        writer.append("\r\nx-forwarded-proto: http\r\n\r\n")
    }

    private static func appendTarget(
        _ writer: inout ByteWriter, _ path: TokenPath, _ target: UnsafeRawBufferPointer, _ kind: Route.Kind
    ) {
        switch kind {
        case .fixed: writer.append(target)
        case .dynamic:
            if path.rest.first != 0x2F {
                writer.append("/")
            } else if path.rest.count > 1, path.rest[1] == 0x2F {
                // "//name/x" would be read as a host by some; RFC 3986 section 4.2 has "/." put in front.
                writer.append("/.")
            }
            writer.append(path.rest)
        }
    }

    static func passesToBackend(_ field: FieldLayout, _ head: UnsafeRawBufferPointer) -> Bool {
        switch field.known {
        case .verified, .forwardedFor, .forwardedProto, .backendID: false
        case .connection, .keepAlive, .proxyConnection, .upgrade, .te, .trailer, .http2Settings,
            .nominatedByConnection:
            false
        case .host, .contentLength, .transferEncoding, .expect, .server, .accessControlAllow: true
        case .other: !isReserved(field.name.bytes(in: head))
        }
    }

    /// What only the proxy may say, or what speaks about the hop to it.
    private static func isReserved(_ name: UnsafeRawBufferPointer) -> Bool {
        guard let first = name.first else { return false }
        switch first | 0x20 {
        case UInt8(ascii: "x"): return ByteText.hasPrefix(name, "x-plane-")
        case UInt8(ascii: "p"): return ByteText.hasPrefix(name, "proxy-")
        default: return false
        }
    }

    private static func appendConnection(
        _ writer: inout ByteWriter, _ layout: UnsafePointer<RequestLayout>, _ head: UnsafeRawBufferPointer
    ) {
        switch layout.pointee.upgrade {
        case .webSocket: writer.append("connection: upgrade\r\nupgrade: websocket\r\n")
        case .other(let name):
            writer.append("connection: upgrade\r\nupgrade: ")
            writer.append(name.bytes(in: head))
            writer.append("\r\n")
        case .none:
            switch (layout.pointee.persistence, layout.pointee.minorVersion) {
            case (.close, 1): writer.append("connection: close\r\n")
            case (.keepAlive, 0): writer.append("connection: keep-alive\r\n")
            case (.close, _), (.keepAlive, _): break
            }
        }
    }

    private static func appendAddress(_ writer: inout ByteWriter, _ host: UInt32) {
        for part in 0..<4 {
            if part > 0 { writer.append(".") }
            writer.append(decimal: UInt64(host >> UInt32(24 - 8 * part) & 255))
        }
    }
}

/// Copies the lines of the fields that pass, neighbouring ones in one go.
enum FieldCopy {
    @inline(__always)
    static func append(
        _ writer: inout ByteWriter, _ fields: UnsafeBufferPointer<FieldLayout>, head: UnsafeRawBufferPointer,
        headCount: Int, passing passes: (FieldLayout) -> Bool
    ) {
        var runStart = 0
        var runEnd = 0
        for index in 0..<fields.count {
            guard passes(fields[index]) else { continue }
            let start = Int(fields[index].name.offset)
            // A line ends where the next begins; the last is followed by the empty line's two bytes.
            let end = index + 1 < fields.count ? Int(fields[index + 1].name.offset) : headCount - 2
            if start == runEnd {
                runEnd = end
                continue
            }
            if runEnd > runStart { writer.append(UnsafeRawBufferPointer(rebasing: head[runStart..<runEnd])) }
            runStart = start
            runEnd = end
        }
        if runEnd > runStart { writer.append(UnsafeRawBufferPointer(rebasing: head[runStart..<runEnd])) }
    }
}
