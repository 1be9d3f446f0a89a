/// What goes wrong in a schedule.
enum Fault: String, CaseIterable {
    case controllerCrash = "controller killed"
    case controllerStop = "controller stopped"
    case controllerLeaves = "controller ended in order"
    case droneCrash = "drone killed"
    case droneStop = "drone stopped"
    case wardenCrash = "warden killed"
    case wardenStop = "warden stopped"
    case droneWedged = "drone's main loop wedged"
    case droneAndWardenStop = "drone and warden stopped"
    case machineReboot = "machine rebooted"
    case machineSleep = "machine asleep"
    case machineLost = "machine lost, another takes its name"
    case impostor = "second machine of a name"
    case linkBreak = "link broken"
    case partition = "drone cut off"
    case controllerIsolated = "controller cut off from drones"
    case storeUnreachable = "store unreachable for one"
    case storeDown = "store down"
    case storeSlow = "store slow"
    case jobLost = "job lost"
    case jobUncertain = "job done, reported failed"
    case wallClockJump = "wall clock set"
    case backendExit = "backend exits"
    case slowNetwork = "network slow"
    case orderRepeated = "order repeated"

    /// Its place in `allCases`.
    var index: Int {
        guard let index = Self.allCases.firstIndex(of: self) else { preconditionFailure("a case is not among all") }
        return index
    }
}
