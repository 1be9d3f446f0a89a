import Controller
import HTTP
import Linux

/// Who may call a controller, on its command line.
enum AccessFlags {
    private static let apiTokens = Flag(
        "--api-tokens", .value("FILE", default: nil),
        "callers of /ctrl show one of its tokens; lines of TOKEN or NAME TOKEN")
    private static let droneSecrets = Flag(
        "--drone-secrets", .value("FILE", default: nil), "each drone shows its own secret; lines of DRONE-NAME SECRET")
    private static let forwardAuth = Flag(
        "--forward-auth", .value("URL", default: nil),
        "asked about each request that no API token came with; 2xx lets it in")
    static let anonymous = Flag(
        "--allow-anonymous", .bare, "let everybody in who reaches the address, also where that is not loopback")

    static let all = [apiTokens, droneSecrets, forwardAuth, anonymous]

    /// What the flags say of it, for `--help`.
    static let explanation = """
        On another address than loopback a controller starts only with --api-tokens, --forward-auth or
        --allow-anonymous. Files of secrets must be readable by nobody but root and the controller's user, hold
        secrets of 16 to 256 characters, and are read again when they change.
        """

    static func configuration(
        _ arguments: Arguments, listeningOn address: SocketAddress
    ) throws(UsageError) -> AccessConfiguration {
        var access = AccessConfiguration()
        access.apiTokensPath = arguments.text(apiTokens)
        access.droneSecretsPath = arguments.text(droneSecrets)
        if let text = arguments.text(forwardAuth) {
            do throws(HTTPURL.Malformed) {
                access.forwardAuth = try HTTPURL(text)
            } catch {
                throw arguments.wrong("\(forwardAuth.name): \(error)")
            }
        }
        if arguments.isGiven(anonymous) { access.anonymous = .anywhere }
        if let problem = access.problem(listeningOn: address) { throw arguments.wrong(problem) }
        return access
    }
}
