// Who may do what on which entity. Nobody has a right on the namespace.
param namespaceName string
param appPrincipalId string

@description('The app may manage its two queues, which scaling on their length takes; otherwise it receives from both and sends to the one in progress.')
param scaleOnQueueLength bool
param senderGroupId string
param consumerGroupId string

@description('Whoever deploys may send requests and receive outcomes and alerts; empty: may not.')
param deployerId string

@allowed([
  'ServicePrincipal'
  'User'
])
param deployerType string

var owner = '090c5cfd-751d-490a-894a-3ce6f1109419' // Azure Service Bus Data Owner
var receiver = '4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0' // Azure Service Bus Data Receiver
var sender = '69a216fc-b8fb-44d8-bc22-1f3c2cd27a39' // Azure Service Bus Data Sender

var requests = 'assessment-requests'
var inProgress = 'assessments-in-progress'
var results = 'assessment-results'
var alerts = 'patch-alerts'

// The app receives from both queues, and sends to the second alone: what it asks itself for and hands
// over to itself goes there. To see how long a queue is takes the right to manage it. Of the built-in
// roles the owner's alone has that, and that lets the app send to the first as well, which it never does.
module appRequests 'queue-access.bicep' = {
  name: 'app-requests'
  params: {
    namespaceName: namespaceName
    queueName: requests
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleIds: scaleOnQueueLength ? [owner] : [receiver]
  }
}

module appInProgress 'queue-access.bicep' = {
  name: 'app-in-progress'
  params: {
    namespaceName: namespaceName
    queueName: inProgress
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleIds: scaleOnQueueLength ? [owner] : [receiver, sender]
  }
}

module appResults 'topic-access.bicep' = {
  name: 'app-results'
  params: {
    namespaceName: namespaceName
    topicName: results
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleId: sender
  }
}

module appAlerts 'topic-access.bicep' = {
  name: 'app-alerts'
  params: {
    namespaceName: namespaceName
    topicName: alerts
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleId: sender
  }
}

module senders 'queue-access.bicep' = if (!empty(senderGroupId)) {
  name: 'senders'
  params: {
    namespaceName: namespaceName
    queueName: requests
    principalId: senderGroupId
    principalType: 'Group'
    roleIds: [sender]
  }
}

module resultConsumers 'topic-access.bicep' = if (!empty(consumerGroupId)) {
  name: 'result-consumers'
  params: {
    namespaceName: namespaceName
    topicName: results
    principalId: consumerGroupId
    principalType: 'Group'
    roleId: receiver
  }
}

module alertConsumers 'topic-access.bicep' = if (!empty(consumerGroupId)) {
  name: 'alert-consumers'
  params: {
    namespaceName: namespaceName
    topicName: alerts
    principalId: consumerGroupId
    principalType: 'Group'
    roleId: receiver
  }
}

// Receives as well, for dead letters; but nobody beside the app touches what is in progress.
module deployerRequests 'queue-access.bicep' = if (!empty(deployerId)) {
  name: 'deployer-requests'
  params: {
    namespaceName: namespaceName
    queueName: requests
    principalId: deployerId
    principalType: deployerType
    roleIds: [receiver, sender]
  }
}

module deployerResults 'topic-access.bicep' = if (!empty(deployerId)) {
  name: 'deployer-results'
  params: {
    namespaceName: namespaceName
    topicName: results
    principalId: deployerId
    principalType: deployerType
    roleId: receiver
  }
}

module deployerAlerts 'topic-access.bicep' = if (!empty(deployerId)) {
  name: 'deployer-alerts'
  params: {
    namespaceName: namespaceName
    topicName: alerts
    principalId: deployerId
    principalType: deployerType
    roleId: receiver
  }
}
