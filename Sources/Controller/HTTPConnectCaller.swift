import HTTP
import Model

/// Whoever sent a connect over HTTP.
final class HTTPConnectCaller: ConnectCaller {
    private let caller: Caller

    init(_ caller: Caller) { self.caller = caller }

    var isGone: Bool { caller.responder.isClientGone }

    func answer(_ response: ConnectResponse) { caller.answer(.json(200, response.jsonBytes)) }

    func refuse(_ failure: Failure) { caller.refuse(failure) }
}
