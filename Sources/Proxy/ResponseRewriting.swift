import HTTP

/// Composes the heads that the client gets from the backend's. Pure: a parsed head in, bytes out.
enum ResponseRewriting {
    /// What the client is told about its connection.
    enum ConnectionField {
        /// Nothing: an HTTP/1.1 connection stays open.
        case unsaid
        /// `connection: close`
        case close
        /// `connection: keep-alive`, for an HTTP/1.0 client that asked for it.
        case keepAlive
        /// The switch to another protocol.
        case upgrade
    }

    /// Composes a final head or a 101.
    static func compose(
        _ writer: inout ByteWriter, _ layout: UnsafePointer<ResponseLayout>, head: UnsafeRawBufferPointer,
        headCount: Int,
        connection: ConnectionField, ownFields: UnsafeRawBufferPointer
    ) {
        appendStatusLine(&writer, layout, head)
        let keepsFraming = layout.pointee.status >= 200 && layout.pointee.status != 204
        var hasAccessControl = false
        layout.pointee.fields.withAll { fields in
            FieldCopy.append(&writer, fields, head: head, headCount: headCount) { field in
                if field.known == .accessControlAllow { hasAccessControl = true }
                return passesToClient(field, head, keepsFraming ? .kept : .meaningless)
            }
        }
        switch connection {
        case .unsaid: break
        case .close: writer.append("connection: close\r\n")
        case .keepAlive: writer.append("connection: keep-alive\r\n")
        case .upgrade: appendUpgrade(&writer, layout, head)
        }
        writer.append(ownFields)
        if !hasAccessControl { writer.append(accessControlDefaults) }
        writer.append("\r\n")
    }

    /// Composes an interim head (1xx but 101), which is passed on with its own fields only.
    static func composeInterim(
        _ writer: inout ByteWriter, _ layout: UnsafePointer<ResponseLayout>, head: UnsafeRawBufferPointer,
        headCount: Int
    ) {
        appendStatusLine(&writer, layout, head)
        layout.pointee.fields.withAll { fields in
            FieldCopy.append(&writer, fields, head: head, headCount: headCount) { field in
                passesToClient(field, head, .meaningless)
            }
        }
        writer.append("\r\n")
    }

    /// For responses that say nothing about it themselves.
    static var accessControlDefaults: StaticString {
        """
        access-control-allow-origin: *\r
        access-control-allow-methods: *\r
        access-control-allow-headers: *, Authorization\r

        """
    }

    /// Whether Content-Length and Transfer-Encoding mean anything in a response.
    enum FramingFields {
        case kept
        case meaningless
    }

    private static func passesToClient(
        _ field: FieldLayout, _ head: UnsafeRawBufferPointer, _ framing: FramingFields
    ) -> Bool {
        switch field.known {
        case .connection, .keepAlive, .proxyConnection, .upgrade, .te, .trailer, .http2Settings,
            .nominatedByConnection, .server, .backendID:
            false
        case .contentLength, .transferEncoding: framing == .kept
        case .host, .expect, .forwardedFor, .forwardedProto, .accessControlAllow: true
        // They carry a secret meant for the backend; one that echoes its request must not hand them out.
        case .verified: false
        case .other: !ByteText.hasPrefix(field.name.bytes(in: head), "x-plane-")
        }
    }

    private static func appendStatusLine(
        _ writer: inout ByteWriter, _ layout: UnsafePointer<ResponseLayout>, _ head: UnsafeRawBufferPointer
    ) {
        writer.append("HTTP/1.1 ")
        writer.append(decimal: UInt64(layout.pointee.status))
        writer.append(" ")
        writer.append(layout.pointee.reasonPhrase.bytes(in: head))
        writer.append("\r\n")
    }

    private static func appendUpgrade(
        _ writer: inout ByteWriter, _ layout: UnsafePointer<ResponseLayout>, _ head: UnsafeRawBufferPointer
    ) {
        writer.append("connection: upgrade\r\nupgrade: ")
        switch layout.pointee.upgrade {
        case .webSocket, .none: writer.append("websocket")
        case .other(let name): writer.append(name.bytes(in: head))
        }
        writer.append("\r\n")
    }
}
