import HTTP
import Linux
import Model

/// Lets requests in or refuses them, by `AccessDecision`; reads the files and asks whom it takes for that.
final class AccessControl {
    private let apiTokens: WatchedSecrets<String>?
    private let droneSecrets: WatchedSecrets<DroneName>?
    private let forwardAuth: ForwardAuth?

    /// Reads the files, which must be right now.
    init(_ configuration: AccessConfiguration, loop: EventLoop) throws(ControllerError) {
        do throws(SecretFile.Unusable) {
            apiTokens = try Self.watched(configuration.apiTokensPath) { (lines) throws(InvalidValue) in
                try SecretTable(apiTokens: lines)
            }
            droneSecrets = try Self.watched(configuration.droneSecretsPath) { (lines) throws(InvalidValue) in
                try SecretTable(droneSecrets: lines)
            }
        } catch {
            throw .access("\(error)")
        }
        do throws(SystemError) {
            if let url = configuration.forwardAuth {
                forwardAuth = try ForwardAuth(url, loop: loop)
            } else {
                forwardAuth = nil
            }
        } catch {
            throw .system(error)
        }
    }

    private static func watched<Owner>(
        _ path: String?, _ make: @escaping (SecretLines) throws(InvalidValue) -> SecretTable<Owner>
    ) throws(SecretFile.Unusable) -> WatchedSecrets<Owner>? {
        guard let path else { return nil }
        return try WatchedSecrets(path, now: .now, make: make)
    }

    /// Ends what happens by itself.
    func stop() { forwardAuth?.stop() }

    /// Lets a request in, now or later, or answers it.
    /// - Parameter then: called when it is let in.
    func admit(_ request: Request, _ segments: [String], _ caller: Caller, then: @escaping (LinkAdmission) -> Void) {
        let now = BootInstant.now
        let decision = AccessDecision.decide(
            Endpoint.area(segments), presented: request.bearerToken, apiTokens: apiTokens?.current(now: now),
            droneSecrets: droneSecrets?.current(now: now), isForwarded: forwardAuth != nil)
        switch decision {
        case .admit(let admission): then(admission)
        case .refuse(let failure): caller.refuse(failure)
        case .askForward: ask(request, segments, caller, then)
        }
    }

    private func ask(
        _ request: Request, _ segments: [String], _ caller: Caller, _ then: @escaping (LinkAdmission) -> Void
    ) {
        guard let forwardAuth else { preconditionFailure("nobody is asked without an address to ask at") }
        let question: ForwardQuestion
        do throws(Failure) {
            question = try ForwardQuestion(request, segments: segments)
        } catch {
            return caller.refuse(error)
        }
        forwardAuth.ask(question, isGone: { caller.responder.isClientGone }) { verdict in
            switch verdict {
            case .admit: then(.anyDrone)
            case .refuse(let failure): caller.refuse(failure)
            }
        }
    }
}
