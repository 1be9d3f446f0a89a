import Glibc
import HTTP
import Linux

/// Where a URL's host is, known at any time without asking: a name is looked up again and again on a thread of its own,
/// since the system's resolver blocks its caller, for many seconds where a name server is away.
final class HostAddress {
    /// Where it was when it was last looked up.
    private(set) var found: Result<SocketAddress, HTTPClientError>
    private let lookup: LookupThread?

    /// Between two lookups of a name that was found.
    fileprivate static let refreshInterval = Duration.seconds(30)
    /// Between two lookups of a name that was not found.
    fileprivate static let retryInterval = Duration.seconds(2)

    /// Starts looking, unless the host is an address itself.
    init(_ url: HTTPURL, loop: EventLoop) throws(SystemError) {
        if let host = SocketAddress.parseHost(url.host) {
            found = .success(SocketAddress(host: host, port: url.port))
            lookup = nil
            return
        }
        found = .failure(.cannotResolve(url, reason: "its host is still being looked up; try again"))
        let thread = try LookupThread(url)
        lookup = thread
        try loop.attach(thread.answers) { [weak self] answer in self?.take(answer) }
        try thread.start()
    }

    /// Ends the lookups.
    func stop() { lookup?.stop() }

    /// A lookup that fails takes nothing away: the host may well still be where it was.
    private func take(_ answer: Result<SocketAddress, HTTPClientError>) {
        switch (answer, found) {
        case (.success, _), (_, .failure): found = answer
        case (.failure, .success): break
        }
    }
}

/// Looks a name up until it is stopped. The thread ends by itself after that; nobody waits for the resolver.
private final class LookupThread: Sendable {
    let answers: Mailbox<Result<SocketAddress, HTTPClientError>>
    private let stops: Mailbox<Void>
    private let url: HTTPURL

    init(_ url: HTTPURL) throws(SystemError) {
        self.url = url
        answers = try Mailbox()
        stops = try Mailbox()
    }

    func start() throws(SystemError) {
        var thread = pthread_t()
        let this = Unmanaged.passRetained(self)
        let code = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<LookupThread>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, this.toOpaque())
        guard code == 0 else {
            this.release()
            throw SystemError(code, "pthread_create")
        }
        pthread_detach(thread)
    }

    func stop() { stops.send(()) }

    private func run() {
        do throws(SystemError) {
            let loop = try EventLoop()
            try loop.attach(stops) { loop.stop() }
            look(loop)
            try loop.run()
        } catch {
            answers.send(.failure(.cannotResolve(url, reason: "\(error)")))
        }
    }

    private func look(_ loop: EventLoop) {
        let answer = Result { () throws(HTTPClientError) in try HTTPClient.address(of: url) }
        answers.send(answer)
        let interval =
            switch answer {
            case .success: HostAddress.refreshInterval
            case .failure: HostAddress.retryInterval
            }
        loop.schedule(after: interval) { [weak loop] in
            if let loop { self.look(loop) }
        }
    }
}
