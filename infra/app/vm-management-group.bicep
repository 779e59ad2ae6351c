// The right to assess every VM under a management group, and to follow the operations. A template of
// its own, for one that is deployed to a subscription can't reach up to a management group:
//   az deployment mg create --management-group-id NAME --location REGION \
//     --template-file infra/app/vm-management-group.bicep --parameters principalId=PRINCIPAL
targetScope = 'managementGroup'

@description('Whom the right is for: the deployment\'s output ASSESSOR_PRINCIPAL_ID.')
@minLength(36)
@maxLength(36)
param principalId string

var roles = loadJsonContent('../vm-roles.json')

// A role's name is unique in the tenant, so it carries the management group that it is for.
resource role 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(managementGroup().id, roles.assessor.name)
  properties: {
    roleName: '${roles.assessor.name} ${managementGroup().name}'
    description: roles.assessor.description
    type: 'CustomRole'
    assignableScopes: [managementGroup().id]
    permissions: [
      { actions: concat(roles.assessor.actions, roles.operationReader.actions) }
    ]
  }
}

resource assessor 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(managementGroup().id, principalId, role.id)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: role.id
  }
}
